"""The requests of a bake, including Packer's, are allowed by the bake policy."""

from dask_bake.iam.grants import Purpose
from dask_bake.local.admin_client import ask
from dask_bake.models.tags import Tag
from iam_actions import PACKER, RecordedRequest, needed, permitted
from local_cloud import SETTINGS


def test_packer_s_requests_are_allowed_by_the_bake_policy(cloud, tiny):
    """They are all that the policy allows because of Packer; instance and volume have the required tag."""
    ask("DELETE", "requests", settings=SETTINGS)
    made = cloud.json("bake", "--env", str(tiny), "--force", "--no-verify", timeout=300)["image"]
    requests = [
        RecordedRequest(each["service"], each["action"], each["parameters"])
        for each in ask("GET", "requests", settings=SETTINGS)
    ]
    cloud.run("images", "remove", made, "--yes")

    assert needed(requests) <= permitted(Purpose.BAKE)
    assert needed(requests) >= PACKER
    (started,) = (each for each in requests if each.operation == "RunInstances")
    assert [started.tagged(kind)[Tag.MANAGED] for kind in ("instance", "volume")] == ["true", "true"]
