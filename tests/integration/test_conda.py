"""conda: a channel on loopback, solved here, baked by rattler, and a cluster from that image."""

import json
import re

import pytest

from base_release import PYTHON
from conda_channel import serve, small_channel

pytestmark = pytest.mark.slow

ENVIRONMENT = """\
name: small
channels: [{channel}]
dependencies:
  - python={python}
  - dask
  - distributed
  - pip
  - pip:
    - xyzservices
"""


@pytest.fixture(scope="module")
def channel(request):
    """The channel, served on loopback with a password."""
    folder = small_channel(request.config.cache.mkdir("conda-channel"))
    with serve(folder, username="me", password="s3cret") as served:
        yield served


@pytest.fixture(scope="module")
def environment(channel, tmp_path_factory):
    """An environment of that channel, with the credentials in its URL as conda's users write them."""
    file = tmp_path_factory.mktemp("project") / "environment.yml"
    file.write_text(ENVIRONMENT.format(python=PYTHON, channel=channel.url.replace("://", "://me:s3cret@")))
    return file


@pytest.fixture(scope="module")
def conda_image(cloud, environment, no_shared_cluster):
    """The JSON of the bake; there is nothing else in the cloud."""
    return cloud.json("bake", "--env", str(environment), "--installer", "conda", timeout=900)


@pytest.fixture(scope="module")
def conda_cluster(cloud, conda_image):
    """A head and a worker of two processes from the image."""
    arguments = ("launch", "--name", "conda", "--count", "2", "--nprocs", "2", "--ami", conda_image["image"])
    yield cloud.json(*arguments, "--allow-mismatch")
    cloud.run("down", "conda")


def test_the_image_is_tagged_with_its_installer_and_as_verified(cloud, conda_image):
    shown = cloud.json("images", "show", conda_image["image"])
    assert (conda_image["built"], conda_image["installer"], conda_image["verified"]) == (True, "conda", "yes")
    assert (shown["environment"], shown["verified"]) == ("small", "yes")
    assert cloud.live_instances() == []
    assert (cloud.groups(), cloud.secrets()) == ([], [])
    assert cloud.ec2().describe_key_pairs()["KeyPairs"] == []


def test_the_lock_is_written_beside_the_environment_without_credentials(environment, conda_image):
    lock = environment.with_name("conda.lock").read_text()
    assert re.findall(r"^- conda: \S+/linux-64/python-3\.11\.\S+\.conda$", lock, re.MULTILINE)
    assert "xyzservices==" in environment.with_name("conda.pip.lock").read_text()
    assert "s3cret" not in lock


def test_an_unchanged_environment_is_neither_solved_nor_built_twice(cloud, channel, environment, conda_image):
    channel.requests.clear()
    again = cloud.json("bake", "--env", str(environment), "--installer", "conda")
    assert (again["image"], again["built"]) == (conda_image["image"], False)
    assert channel.requests == []


def test_the_same_lock_finds_the_same_image(cloud, environment, conda_image):
    lock = str(environment.with_name("conda.lock"))
    again = cloud.json("bake", "--env", str(environment), "--lock", lock)
    assert (again["image"], again["built"]) == (conda_image["image"], False)


def test_explain_shows_the_effect_of_a_change(cloud, environment, conda_image, tmp_path):
    changed = tmp_path / "environment.yml"
    changed.write_text(
        environment.read_text().replace("    - xyzservices\n", "    - xyzservices\n    - sh\n")
    )
    explained = cloud.json("bake", "--env", str(changed), "--installer", "conda", "--explain")
    assert (explained["would_build"], explained["compared_with"]) == (True, conda_image["image"])
    assert [each["name"] for each in explained["differences"]["packages"]] == ["sh"]
    files = sorted(each["name"] for each in explained["differences"]["files"])
    assert files == ["conda.lock", "environment.yml", "pip.lock"]


def test_a_cluster_computes_with_conda_s_python(cloud, conda_image, conda_cluster):
    code = """
import sys
from distributed import Client
client = Client()
client.wait_for_workers(2)
everywhere = client.run(lambda: (sys.version.split()[0], sys.prefix, __import__("xyzservices").__name__))
print(sorted(set(everywhere.values())), client.submit(sum, range(100)).result())
"""
    output = cloud.on_head(code, name="conda")
    assert output.strip() == f"[('{conda_image['python']}', '/opt/dask', 'xyzservices')] 4950"


def on_head(cloud, *words):
    """Return the output of a command on the head."""
    return cloud.run("ssh", "--name", "conda", "--", *words)


def test_the_manifest_in_the_image_is_the_one_in_its_tags(cloud, conda_image, conda_cluster):
    inside = json.loads(on_head(cloud, "cat", "/etc/dask-bake/manifest.json"))
    shown = cloud.json("images", "show", conda_image["image"])["manifest"]
    assert shown == inside
    assert {package["kind"] for package in inside["packages"]} == {"conda", "pypi"}
    assert all(re.fullmatch("[0-9a-f]{64}", package["sha256"]) for package in inside["packages"])
    assert "s3cret" not in json.dumps(inside)


def test_conda_on_the_node_can_change_the_environment(cloud, channel, conda_cluster):
    """Package records name the channel, and the login user can write; the workers' user cannot."""
    code = """
import glob, json, os
records = [json.load(open(path)) for path in glob.glob("/opt/dask/conda-meta/*.json")]
print(json.dumps({
    "urls": sorted({record["url"].rsplit("/", 2)[0] for record in records}),
    "history": os.path.exists("/opt/dask/conda-meta/history"),
    "writable": os.access("/opt/dask/lib", os.W_OK),
    "prefix": os.environ.get("CONDA_PREFIX"),
}))
"""
    found = json.loads(cloud.on_head(code, name="conda"))
    assert found == {"urls": [channel.url], "history": True, "writable": True, "prefix": "/opt/dask"}
    assert on_head(cloud, "sudo -u dask test -w /opt/dask/lib || echo no").strip() == "no"


def test_the_sbom_is_cyclonedx(cloud, conda_image):
    bom = json.loads(cloud.run("images", "sbom", conda_image["image"]))
    purls = {component["name"]: component["purl"] for component in bom["components"]}
    assert (bom["bomFormat"], bom["specVersion"]) == ("CycloneDX", "1.6")
    assert purls["xyzservices"].startswith("pkg:pypi/xyzservices@")
    assert purls["distributed"].startswith("pkg:conda/distributed@")


def test_an_unsolvable_environment_fails_before_any_instance(cloud, environment, tmp_path):
    wrong = tmp_path / "environment.yml"
    wrong.write_text(environment.read_text().replace("- dask\n", "- dask >3000\n"))
    done = cloud.attempt("bake", "--env", str(wrong), "--installer", "conda", timeout=20)
    assert done.returncode == 1
    assert "the environment cannot be solved: No candidates were found for dask >3000" in done.stderr
    assert "Hint: " in done.stderr
    assert list(tmp_path.iterdir()) == [wrong]


def test_a_package_with_another_hash_than_the_lock_is_refused(
    cloud, channel, environment, conda_image, tmp_path
):
    """The channel serves other bytes under the same name, and the cache is empty."""
    before = cloud.live_instances()
    (tmp_path / "dask-bake").mkdir()
    (tmp_path / "dask-bake" / "packer").symlink_to(cloud.cache / "packer")
    channel.corrupt.add("toolz-" + conda_image["packages"]["toolz"] + "-py_0.conda")
    try:
        done = cloud.attempt(
            "bake", "--env", str(environment), "--installer", "conda", "--force", XDG_CACHE_HOME=str(tmp_path)
        )
    finally:
        channel.corrupt.clear()
    assert done.returncode == 1
    assert "is not the package that is locked" in done.stderr
    assert cloud.live_instances() == before
