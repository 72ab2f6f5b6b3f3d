"""The plan of a bake: base image, instance type, names, tags and Packer's variables."""

from dataclasses import replace

import pytest

from baking import BASE, CLOUD, NOW, Bench
from dask_bake.errors import BakeError, UsageError
from dask_bake.models.cloud import Architecture, Cloud
from dask_bake.models.debian import TRIXIE
from dask_bake.models.ec2 import Image
from dask_bake.models.tags import Tag
from fakes import ARN, SUBNETS, hint_of


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
            "dask-bake:owner": "anna",
            "dask-bake:owner-arn": ARN,
            "dask-bake:dask": "2026.8.0",
            "dask-bake:distributed": "2026.8.0",
            "dask-bake:numpy": "2.1",
        },
        "run_tags": {
            "Name": f"dask-bake-image-{digest[:12]}",
            "dask-bake:managed": "true",
            "dask-bake:cluster": f"image-{digest[:12]}",
            "dask-bake:role": "head",
            "dask-bake:owner": "anna",
            "dask-bake:owner-arn": ARN,
        },
        "security_group_id": "sg-0",
        "user_data_file": variables["user_data_file"],
        "ssh_private_key_file": variables["ssh_private_key_file"],
        "subnet_id": SUBNETS[0].id,
        "associate_public_ip_address": True,
        "ssh_interface": "",
        "instance_type": "m5.large",
        "volume_size": 10,
        "root_device": "/dev/xvda",
        "ssh_timeout": "3600s",
        "deprecate_at": "2027-05-01T00:00:00Z",
        "kms_key_id": "",
        "ssh_username": "admin",
        "script_timeout": "3600s",
        "polling_attempts": 3600,
    }
    assert bench.packer.environment == [{"AWS_ACCESS_KEY_ID": "mine"}]


def test_the_base_of_a_release_is_its_newest_image(bench: Bench) -> None:
    older, newer = (
        Image(f"ami-{day}", f"debian-13-amd64-202601{day}-1", "available", NOW) for day in ("01", "02")
    )
    bench.cloud.listed += [newer, older]
    assert bench.bake(base=TRIXIE).image.tag(Tag.BASE) == "ami-02"


def test_a_base_can_be_any_image_id(bench: Bench) -> None:
    mine = Image("ami-mine", "debian-mine", "available", NOW)
    bench.cloud.listed.append(mine)
    assert bench.bake(base="ami-mine").image.tag(Tag.BASE) == "ami-mine"


def test_the_root_volume_is_the_base_s_and_not_smaller_than_it(bench: Bench) -> None:
    """Another device would be a second volume, beside a root volume that is not encrypted."""
    mine = Image("ami-mine", "ubuntu", "available", NOW, root_device="/dev/sda1", root_size=20)
    bench.cloud.listed.append(mine)
    for size in (10, 40):
        bench.bake(base="ami-mine", volume_size=size)

    devices = [(each["root_device"], each["volume_size"]) for each in bench.packer.variables]
    assert devices == [("/dev/sda1", 20), ("/dev/sda1", 40)]
    assert bench.notes == ["The root volume has 20 GiB, as the base image ami-mine has."]


def test_the_time_limit_is_that_of_every_step(bench: Bench) -> None:
    bench.bake(timeout=7200)
    (variables,) = bench.packer.variables

    limits = [variables[each] for each in ("ssh_timeout", "script_timeout", "polling_attempts")]
    assert limits == ["7200s", "7200s", 7200]


def test_an_image_that_is_never_deprecated_has_no_date(bench: Bench) -> None:
    bench.bake(deprecate_after=0)

    assert bench.packer.variables[0]["deprecate_at"] == ""


def test_an_arm64_image_is_baked_from_debian_s_arm64_image_on_an_arm64_instance(bench: Bench) -> None:
    arm = Image("ami-arm", "debian-12-arm64-20260101", "available", NOW, architecture="arm64")
    bench.cloud.listed.append(arm)
    result = bench.bake(architecture=Architecture.ARM64)
    assert result.image.tag(Tag.BASE) == "ami-arm"
    assert bench.packer.variables[0]["instance_type"] == "m6g.large"


ARM = Image("ami-arm", "debian-12-arm64-20260101", "available", NOW, architecture="arm64")
TRIXIE_IMAGE = Image("ami-13", "debian-13-amd64-20260101-1", "available", NOW)
LOCAL = replace(CLOUD, name="local", architectures=(Architecture.X86_64,))
REFUSALS = [
    (
        (),
        CLOUD,
        {},
        BakeError,
        "there is no image debian-12-amd64-* of Debian's account 136693071363 in this region",
        "choose another region with --region, or an image with --base",
    ),
    (
        (BASE,),
        CLOUD,
        {"base": "ami-0none"},
        BakeError,
        "the image ami-0none does not exist in this region",
        "--base takes the id of an image in this region",
    ),
    (
        (BASE,),
        CLOUD,
        {"base": "ami-base", "architecture": Architecture.ARM64},
        UsageError,
        "--base ami-base is for x86_64, and --arch is arm64",
        "--arch x86_64, or another --base",
    ),
    (
        (BASE, TRIXIE_IMAGE),
        CLOUD,
        {"base": "ami-13"},
        UsageError,
        "--base ami-13 is Debian 13 with Python 3.13, and the environment is locked for 3.11",
        "--base debian-12, or the dependency python=3.13",
    ),
    (
        (BASE,),
        LOCAL,
        {"architecture": Architecture.ARM64},
        UsageError,
        "--arch arm64: the local cloud's machines are x86_64",
        "an image is baked on a machine of its own architecture: --cloud aws has both",
    ),
    (
        (BASE, ARM),
        CLOUD,
        {"type": "m6g.large"},
        UsageError,
        "the image that is to be baked is x86_64, the type m6g.large is arm64",
        "--type m6i.2xlarge runs it; dask-bake bake --arch arm64 makes one for m6g.large",
    ),
    (
        (BASE, ARM),
        CLOUD,
        {"architecture": Architecture.ARM64, "type": "m5.large"},
        UsageError,
        "the image that is to be baked is arm64, the type m5.large is x86_64",
        "--type m6g.2xlarge runs it; dask-bake bake --arch x86_64 makes one for m5.large",
    ),
]


@pytest.mark.parametrize(("images", "cloud", "options", "error", "message", "hint"), REFUSALS)
def test_a_bake_that_cannot_succeed_is_refused_before_anything_is_created(
    bench: Bench,
    images: tuple[Image, ...],
    cloud: Cloud,
    options: dict[str, object],
    error: type[BakeError],
    message: str,
    hint: str,
) -> None:
    bench.cloud.listed = list(images)
    bench.context = replace(bench.context, cloud=cloud)
    with pytest.raises(error) as caught:
        bench.bake(**options)
    assert (caught.value.message, hint_of(caught.value)) == (message, hint)
    assert bench.packer.variables == []
    bench.assert_nothing_left()
