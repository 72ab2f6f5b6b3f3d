"""The plan of a bake: base image, instance type, names, tags and Packer's variables."""

from dataclasses import replace

import pytest

from baking import BASE, CLOUD, NOW, Bench
from dask_bake.errors import BakeError, UsageError
from dask_bake.models.cloud import Architecture
from dask_bake.models.debian import TRIXIE
from dask_bake.models.ec2 import Image
from dask_bake.models.tags import Tag
from fakes import SUBNETS, hint_of


def test_packer_gets_all_variables_and_no_secret(bench: Bench) -> None:
    digest = bench.bake().manifest.digest
    name = f"dask-bake-{digest[:12]}"
    (variables,) = bench.packer.variables
    run_tags = variables["run_tags"]
    assert isinstance(run_tags, dict)
    assert len(run_tags.pop("dask-bake:launch-id")) == 12
    assert variables == {
        "region": "eu-west-1",
        "endpoint": "",
        "base_image": "ami-base",
        "image_name": name,
        "image_tags": {
            "Name": name,
            "dask-bake:managed": "true",
            "dask-bake:digest": digest,
            "dask-bake:base": "ami-base",
            "dask-bake:base-name": "debian-12-amd64-20260101",
            "dask-bake:environment": "rides",
            "dask-bake:installer": "pip",
            "dask-bake:user": "admin",
            "dask-bake:python": "3.11.2",
            "dask-bake:dask": "2026.8.0",
            "dask-bake:distributed": "2026.8.0",
            "dask-bake:numpy": "2.1",
        },
        "run_tags": {
            "Name": f"dask-bake-image-{digest[:12]}",
            "dask-bake:managed": "true",
            "dask-bake:cluster": f"image-{digest[:12]}",
            "dask-bake:role": "head",
        },
        "security_group_id": "sg-0",
        "user_data_file": variables["user_data_file"],
        "ssh_private_key_file": variables["ssh_private_key_file"],
        "subnet_id": SUBNETS[0].id,
        "associate_public_ip_address": True,
        "instance_type": "m5.large",
        "volume_size": 10,
        "kms_key_id": "",
        "ssh_username": "admin",
        "script_timeout": "3600s",
        "polling_attempts": 3600,
    }
    assert bench.packer.environment == [{"AWS_ACCESS_KEY_ID": "mine"}]


@pytest.mark.parametrize(("architecture", "kind"), [("x86_64", "m6g.large"), ("arm64", "m5.large")])
def test_an_instance_type_of_another_architecture_is_refused_before_anything_is_created(
    bench: Bench, architecture: str, kind: str
) -> None:
    bench.cloud.listed.append(replace(BASE, id="ami-arm", name="debian-12-arm64-1", architecture="arm64"))
    with pytest.raises(
        UsageError, match=f"the image that is to be baked is {architecture}, the type {kind} is"
    ):
        bench.bake(architecture=Architecture(architecture), type=kind)
    assert bench.packer.variables == []
    bench.assert_nothing_left()


def test_a_region_without_debian_s_image_is_refused_with_the_pattern_and_the_account(bench: Bench) -> None:
    bench.cloud.listed.clear()
    with pytest.raises(BakeError) as caught:
        bench.bake()
    assert caught.value.message == (
        "there is no image debian-12-amd64-* of Debian's account 136693071363 in this region"
    )


def test_the_base_of_a_release_is_its_newest_image(bench: Bench) -> None:
    older, newer = (
        Image(f"ami-{day}", f"debian-13-amd64-202601{day}-1", "available", NOW) for day in ("01", "02")
    )
    bench.cloud.listed += [newer, older]
    assert bench.bake(base=TRIXIE).image.tag(Tag.BASE) == "ami-02"


def test_a_base_with_another_python_than_the_lock_is_refused(bench: Bench) -> None:
    bench.cloud.listed.append(Image("ami-13", "debian-13-amd64-20260101-1", "available", NOW))
    with pytest.raises(UsageError) as caught:
        bench.bake(base="ami-13")
    assert (caught.value.message, hint_of(caught.value)) == (
        "--base ami-13 is Debian 13 with Python 3.13, and the environment is locked for 3.11",
        "--base debian-12, or the dependency python=3.13",
    )


def test_a_base_can_be_any_image_id(bench: Bench) -> None:
    mine = Image("ami-mine", "debian-mine", "available", NOW)
    bench.cloud.listed.append(mine)
    assert bench.bake(base="ami-mine").image.tag(Tag.BASE) == "ami-mine"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"base": "ami-0none"}, "the image ami-0none does not exist in this region"),
        (
            {"base": "ami-base", "architecture": Architecture.ARM64},
            "--base ami-base is for x86_64, and --arch is arm64",
        ),
    ],
)
def test_an_unsuitable_base_is_refused(bench: Bench, options: dict[str, object], sentence: str) -> None:
    with pytest.raises(BakeError) as caught:
        bench.bake(**options)
    assert caught.value.message == sentence


def test_an_arm64_image_is_baked_from_debian_s_arm64_image_on_an_arm64_instance(bench: Bench) -> None:
    arm = Image("ami-arm", "debian-12-arm64-20260101", "available", NOW, architecture="arm64")
    bench.cloud.listed.append(arm)
    result = bench.bake(architecture=Architecture.ARM64)
    assert result.image.tag(Tag.BASE) == "ami-arm"
    assert bench.packer.variables[0]["instance_type"] == "m6g.large"


def test_an_architecture_that_the_cloud_does_not_have_is_refused(bench: Bench) -> None:
    here = replace(CLOUD, name="local", architectures=(Architecture.X86_64,))
    bench.context = replace(bench.context, cloud=here)
    with pytest.raises(UsageError) as caught:
        bench.bake(architecture=Architecture.ARM64)
    assert caught.value.message == "--arch arm64: the local cloud's machines are x86_64"
