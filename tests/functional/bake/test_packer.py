"""Requests of Debian's Packer and of HashiCorp's current one to the local cloud without machines."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from baking import BASE
from current_packer import FOLDER, SETTINGS_OF_CURRENT, needs_current_packer
from dask_bake.assets import packer_directory
from dask_bake.bake.options import BakeOptions
from dask_bake.bake.packer.packer import find_packer, packer_executable
from dask_bake.bake.plan import Site, packer_variables
from dask_bake.bake.recipe import pack_rootfs, stage
from dask_bake.clouds import local_cloud
from dask_bake.commands.bake import directories_of
from dask_bake.errors import BakeError, CapacityError
from dask_bake.ssh.keypair import new_key
from fake_local_cloud import DEBIAN
from isolation import KEY_PAIR

CACHE = directories_of(os.environ).cache / "packer"  # before a test has a home of its own
IMDSV2 = {
    "MetadataOptions.HttpEndpoint": "enabled",
    "MetadataOptions.HttpPutResponseHopLimit": "1",
    "MetadataOptions.HttpTokens": "required",
}
PACKERS = [
    pytest.param(
        packer_executable(CACHE),
        {},
        id="Debian's",
        marks=pytest.mark.skipif(packer_executable(CACHE) is None, reason="Packer is not installed"),
    ),
    pytest.param(str(FOLDER / "packer"), IMDSV2, id="current", marks=needs_current_packer),
]


@pytest.fixture
def build(cloud, tmp_path, monkeypatch):
    """Return what has a Packer build in a zone: it fails, as no machine answers by SSH."""
    for name, value in SETTINGS_OF_CURRENT.items():
        monkeypatch.setenv(name, value)
    group = cloud.ec2.create_security_group(GroupName="bake", Description="bake")["GroupId"]
    zones = {each["AvailabilityZone"]: each["SubnetId"] for each in cloud.ec2.describe_subnets()["Subnets"]}
    (tmp_path / "key").write_text(new_key("test").private)
    (tmp_path / "user-data").write_text("#cloud-config\n")
    stage(packer_directory(), tmp_path / "stage", {"environment.yml": b"name: dask"})
    pack_rootfs(tmp_path / "stage")

    def run(executable: str, zone: str) -> None:
        here = local_cloud(cloud.url, KEY_PAIR, "us-east-1")
        site = Site(zones[zone], group, tmp_path / "user-data", tmp_path / "key", (("Name", "x"),))
        options = BakeOptions(timeout=5)
        base = replace(BASE, id=DEBIAN.id)
        variables = packer_variables(options, here, site, name="dask-bake-0", tags=(("a", "b"),), base=base)
        packer = find_packer(
            log=tmp_path / "bake.log", cache=tmp_path / "cache", path=str(Path(executable).parent)
        )
        packer.build(tmp_path / "stage", variables, dict(here.environment), [].append)

    return run


@pytest.mark.parametrize(("executable", "options"), PACKERS)
def test_the_builder_requires_imdsv2_if_packer_can_say_so(cloud, build, executable, options):
    with pytest.raises(BakeError, match="Timeout waiting for SSH") as caught:
        build(executable, "us-east-1a")
    (started,) = cloud.requests_for("RunInstances")
    given = {k: v for k, v in started["parameters"].items() if k.startswith("MetadataOptions.")}

    assert given == options
    assert "--timeout gives the boot longer" in (caught.value.hint or "")


@pytest.mark.slow  # Packer 1.6 repeats the request for 45 seconds, the current one for two minutes
@pytest.mark.parametrize(("executable", "options"), PACKERS)
def test_a_lack_of_capacity_has_the_zones_that_ec2_recommends(cloud, build, executable, options):
    cloud.fault("capacity", times=0, where={"AvailabilityZone": "us-east-1a"})
    with pytest.raises(CapacityError) as caught:
        build(executable, "us-east-1a")

    assert caught.value.code == "InsufficientInstanceCapacity"
    assert "us-east-1b" in caught.value.zones
