"""A bake with HashiCorp's current Packer and its plugin, which ``make packer-current`` builds."""

import json
import os

from current_packer import FOLDER, SETTINGS_OF_CURRENT, needs_current_packer
from dask_bake.local.admin_client import ask
from local_cloud import SETTINGS

pytestmark = needs_current_packer


def test_the_current_packer_bakes_and_its_builder_requires_imdsv2_from_the_start(cloud, tiny):
    """The image has IMDSv2 and its date of deprecation from Packer, before the bake sets them once more."""
    ask("DELETE", "requests", settings=SETTINGS)
    path = f"{FOLDER}:{os.environ['PATH']}"
    done = cloud.attempt(
        *("bake", "--env", str(tiny), "--force", "--no-verify", "--json"),
        **{**SETTINGS_OF_CURRENT, "PATH": path},
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    image = json.loads(done.stdout)["image"]
    cloud.run("images", "remove", image, "--yes")
    made = [(each["action"], each["parameters"]) for each in ask("GET", "requests", settings=SETTINGS)]

    (started,) = (parameters for action, parameters in made if action == "RunInstances")
    options = {key: value for key, value in started.items() if key.startswith("MetadataOptions.")}
    assert options == {
        "MetadataOptions.HttpEndpoint": "enabled",
        "MetadataOptions.HttpPutResponseHopLimit": "1",
        "MetadataOptions.HttpTokens": "required",
    }
    names = [action for action, _ in made]
    assert names.count("EnableImageDeprecation") == 2
    assert [p["ImdsSupport.Value"] for action, p in made if "ImdsSupport.Value" in p] == ["v2.0", "v2.0"]
