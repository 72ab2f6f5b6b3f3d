"""`images` commands with a baked image."""

import json

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from dask_bake.clouds import local_cloud
from dask_bake.ec2.images import connect_images
from dask_bake.local.credentials import read_credentials
from local_cloud import SETTINGS

ELSEWHERE = "eu-west-1"


@pytest.fixture
def elsewhere(cloud, image):
    """A copy of the image in another region, which is empty afterwards."""
    (copied,) = cloud.json("images", "copy", image, "--to-region", ELSEWHERE)
    yield copied
    edge = prepare_host()
    for each in edge.mine():
        edge.remove(each)
    assert edge.tagged_snapshots() == ()


def prepare_host():
    """Return the images of the other region."""
    return connect_images(local_cloud(SETTINGS.url, read_credentials(SETTINGS), ELSEWHERE), lambda _: None)


def test_a_baked_image_is_listed_as_verified_with_its_size(cloud, image):
    """In two lines that fit a terminal."""
    (listed,) = [each for each in cloud.json("images") if each["id"] == image]
    assert listed["verified"] in ("yes", "skipped")
    assert 50e6 < listed["bytes"] < 10e9
    text = cloud.run("images")
    assert image in text
    assert all(len(line) <= 80 for line in text.splitlines())


def test_a_baked_image_has_a_manifest_and_an_sbom(cloud, image):
    """The manifest, with hashes, is read from the tags."""
    manifest = cloud.json("images", "show", image)["manifest"]
    assert len(manifest["packages"]) > 20
    assert all(len(package["sha256"]) == 64 for package in manifest["packages"])
    sbom = cloud.run("images", "sbom", image)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(sbom) is None
    assert len(json.loads(sbom)["components"]) == len(manifest["packages"])
    assert cloud.run("images", "sbom", image) == sbom


def test_an_image_does_not_differ_from_itself(cloud, image):
    """Everything is compared."""
    found = cloud.json("images", "diff", image, image)
    assert (found["inputs"], found["files"], found["packages"]) == ([], [], [])


def test_a_copy_in_another_region_is_complete_and_private(cloud, image, elsewhere):
    """It differs only in id, region and encryption."""
    source = cloud.json("images", "show", image)
    copied = cloud.json("images", "show", "--region", ELSEWHERE)
    for key in ("digest", "manifest", "verified", "imdsv2", "deprecation", "python", "bytes"):
        assert copied[key] == source[key], key
    assert (copied["encrypted"], copied["shared_with"]) == (True, [])
    (again,) = cloud.json("images", "copy", image, "--to-region", ELSEWHERE)
    assert (again["step"], again["image"]) == ("nothing", elsewhere["image"])


def test_a_copy_survives_the_server(cloud, elsewhere):
    """With its tags and its snapshot."""
    before = cloud.json("images", "show", "--region", ELSEWHERE)
    cloud.run("local", "down")
    cloud.run("local", "up")
    after = cloud.json("images", "show", "--region", ELSEWHERE)
    assert {**after, "age_seconds": 0} == {**before, "age_seconds": 0}


def test_an_old_image_is_pruned(cloud, elsewhere):
    """The dry run lists it and removes nothing; without a terminal `--yes` is required."""
    edge = prepare_host()
    (first,) = edge.mine()
    edge.copy(
        first,
        from_region=ELSEWHERE,
        name="newer",
        client_token="newer",
        description="",
        tags=first.tags,
        snapshot_tags=first.tags,
    )
    newest, old = edge.mine()
    arguments = ("images", "prune", "--keep", "1", "--region", ELSEWHERE)

    assert [each["id"] for each in cloud.json(*arguments, "--dry-run")["remove"]] == [old.id]
    assert cloud.attempt(*arguments).returncode == 2
    assert len(edge.mine()) == 2
    assert cloud.json(*arguments, "--yes")["removed"] == [old.id]
    assert [each.id for each in edge.mine()] == [newest.id]
    assert old.snapshot_id not in {each.id for each in edge.tagged_snapshots()}
