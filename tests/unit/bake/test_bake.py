"""A bake from its recipe to a verified image, and what a failed one leaves."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import pytest

from baking import BASE, Bench
from dask_bake.assets import package_directory
from dask_bake.bake.recipe import client_files
from dask_bake.clusters.naming import ssh_rule
from dask_bake.errors import BakeError, CapacityError, LeftoverError
from dask_bake.events import PhaseEnded, PhaseStarted
from dask_bake.images import manifest
from dask_bake.models.ec2 import Subnet
from dask_bake.models.tags import Tag
from fakes import SUBNETS, Fault, hint_of
from interrupts import message_of, unreported


def test_an_image_is_built_sealed_and_verified(bench: Bench) -> None:
    result = bench.bake()
    image = bench.cloud.image("ami-1")
    assert (result.image, result.built, result.size) == (image, True, 6)
    assert result.manifest == manifest.from_tags(image.tags)
    assert [phase for phase, _ in result.phases] == ["look up", "packages", "install", "seal"]
    (sealed, on), *rest = bench.cloud.done
    assert (sealed.startswith("tag ['dask-bake:manifest"), on) == (True, "ami-1")
    assert rest == [
        ("imdsv2", "ami-1"),
        ("deprecate 2027-05-01", "ami-1"),
        ("tag ['dask-bake:verified']", "ami-1"),
    ]
    assert bench.verification.verified == ["ami-1"]
    assert image.tag(Tag.VERIFIED) == "yes"
    bench.assert_nothing_left()


def test_the_build_instance_accepts_ssh_with_one_key_from_one_address(bench: Bench) -> None:
    bench.bake()
    assert bench.cloud.rules == [("sg-0", ssh_rule("192.0.2.1/32"))]
    assert [rule.port for _, rule in bench.cloud.rules] == [22]
    assert bench.packer.user_data.startswith("#cloud-config\nssh_authorized_keys:\n  - ssh-ed25519 AAAA")
    assert bench.packer.key_mode == 0o600


CLIENT = sorted(client_files(package_directory()))


def test_packer_runs_in_the_staged_folder_with_the_payload(bench: Bench) -> None:
    result = bench.bake()
    assert bench.packer.staged == [
        "dask.pkr.hcl",
        "environment.yml",
        "newer.hcl",
        "payload/manifest.json",
        "payload/pip.lock",
        "payload/rootfs.tar",
        "payload/wheels.tar",
        "pip.lock",
        "rootfs/etc/x",
        *CLIENT,
        "scripts/10-a.sh",
        "variables.pkr.hcl",
    ]
    assert bench.packer.rootfs == ["etc/x", *(name.removeprefix("rootfs/") for name in CLIENT)]
    assert manifest.parse(bench.packer.manifest) == result.manifest


def test_an_unchanged_recipe_builds_and_downloads_nothing(bench: Bench) -> None:
    first = bench.bake()
    bench.events.clear()
    assert bench.bake() == replace(first, built=False, phases=(("look up", 0.0),), size=0)
    assert bench.events == [PhaseStarted("look up"), PhaseEnded("look up", 0.0)]
    assert len(bench.packer.variables) == 1


def change_script(bench: Bench) -> None:
    (bench.context.source / "scripts/10-a.sh").write_text("other")


def newer_base(bench: Bench) -> None:
    bench.cloud.listed.insert(0, replace(BASE, id="ami-newer"))


def still_pending(bench: Bench) -> None:
    bench.cloud.listed[0] = replace(bench.cloud.listed[0], state="pending")


def failed(bench: Bench) -> None:
    bench.cloud.listed[0] = replace(bench.cloud.listed[0], state="failed")


@pytest.mark.parametrize("change", [change_script, newer_base, still_pending, failed])
def test_a_changed_recipe_or_an_image_that_is_not_available_is_built(
    change: Callable[[Bench], None], bench: Bench
) -> None:
    bench.bake()
    change(bench)
    assert bench.bake().built


@pytest.mark.parametrize(
    ("options", "same"),
    [
        ({"volume_size": 20}, False),
        ({"type": "m5.xlarge"}, True),
        ({"kms_key": "alias/mine"}, False),
        ({"deprecate_after": 0}, True),
        ({"timeout": 60}, True),
    ],
)
def test_only_options_that_change_the_image_cause_a_build(
    options: dict[str, object], same: bool, bench: Bench
) -> None:
    bench.bake()
    assert bench.bake(**options).built is not same


def test_force_builds_an_existing_recipe_under_another_name(bench: Bench) -> None:
    first = bench.bake()
    second = bench.bake(force=True)
    assert second.built
    assert second.manifest.digest == first.manifest.digest
    assert second.image.name == f"{first.image.name}-2"


def test_of_images_with_the_same_digest_the_newest_is_used(bench: Bench) -> None:
    bench.bake()
    newest = bench.bake(force=True).image
    assert bench.bake().image.id == newest.id


def test_a_failed_build_does_not_remove_a_verified_image_of_the_same_name(bench: Bench) -> None:
    """EC2 may not have listed it when the name was chosen."""
    bench.bake()
    theirs = bench.cloud.image("ami-1")
    bench.packer.fails = BakeError("packer failed: the name is taken")
    bench.cloud.unseen = theirs.id
    with pytest.raises(BakeError, match="the name is taken"):
        bench.bake(force=True)
    assert bench.cloud.own_images == [theirs.id]


def test_an_image_that_cannot_be_removed_is_named(bench: Bench) -> None:
    bench.verification.fails = BakeError("it does not compute")
    bench.cloud.removal_error = BakeError("these AWS credentials may not call ec2:DeregisterImage")
    with pytest.raises(LeftoverError) as caught:
        bench.bake()
    name = bench.cloud.image("ami-1").name
    assert caught.value.message == (
        f"it does not compute; the image ami-1 ({name}) or its snapshot snap-1 remains:"
        " these AWS credentials may not call ec2:DeregisterImage"
    )
    bench.assert_nothing_left()


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("error", [BakeError("20-conda.sh failed"), KeyboardInterrupt()])
def test_a_failed_build_leaves_nothing(bench: Bench, error: BaseException, late: bool) -> None:
    bench.packer.fails, bench.packer.fails_late = error, late
    with pytest.raises(type(error)):
        bench.bake()
    assert bench.cloud.own_images == []
    bench.assert_nothing_left()


def test_a_defect_is_reported_as_one_after_everything_is_removed(bench: Bench) -> None:
    bench.packer.fails = KeyError("artifact")
    with pytest.raises(BakeError) as caught:
        bench.bake()
    assert caught.value.message == (
        "KeyError: 'artifact'; this is a defect in dask-bake; nothing is left of the bake"
    )
    assert isinstance(caught.value.defect, KeyError)
    bench.assert_nothing_left()


def test_a_defect_in_the_removal_of_an_image_names_it(bench: Bench) -> None:
    bench.verification.fails = KeyError("sum")
    bench.cloud.removal_error = TypeError("no snapshot")
    with pytest.raises(
        LeftoverError, match=r"defect in dask-bake; the image ami-1 .* remains: TypeError"
    ) as caught:
        bench.bake()
    assert isinstance(caught.value.defect, KeyError)


def test_if_the_credentials_expire_the_error_names_what_may_be_left(bench: Bench) -> None:
    """Packer and the clean-up fail alike."""
    expired = BakeError("AWS does not accept the credentials: Request has expired. (RequestExpired)")
    bench.packer.fails = BakeError(
        "snapshot failed: Error creating AMI: RequestExpired: Request has expired."
    )
    bench.cloud.faults = [Fault("nodes", expired, nth) for nth in range(1, 9)]
    with pytest.raises(LeftoverError) as caught:
        bench.bake()
    failure, left, verification = caught.value.message.splitlines()
    name = next(iter(bench.cloud.security_groups)).name.removeprefix("dask-bake-")
    assert failure == "snapshot failed: Error creating AMI: RequestExpired: Request has expired."
    assert left == (
        f"something may be left that costs money: whatever is tagged dask-bake:cluster={name}."
        " The reason: AWS does not accept the credentials: Request has expired. (RequestExpired)"
    )
    assert verification == left.replace(name, f"{name}-proof")
    assert hint_of(caught.value) == f"dask-bake down {name}; dask-bake down {name}-proof"


def test_without_a_build_neither_packer_nor_the_caller_s_address_is_needed(bench: Bench) -> None:
    bench.bake()

    def ask() -> NoReturn:
        raise AssertionError

    bench.context = replace(bench.context, find_builder=ask, caller=ask)
    assert not bench.bake().built


class Interrupted:
    """A new bake that is interrupted, or whose Packer fails."""

    def __init__(self, source: Path, cache: Path, fails: BaseException) -> None:
        self.bench = Bench(source, cache)
        self.bench.packer.fails, self.bench.packer.fails_late = fails, True

    def __call__(self) -> None:
        self.bench.bake()

    def not_named(self) -> list[str]:
        """Return what is left and not named in the error."""
        message, cloud = message_of(self) or "", self.bench.cloud
        images = [image.name for image in cloud.listed if image.id in cloud.own_images]
        unnamed = [image for image in images if image not in message]
        return unnamed + ([] if "something may be left" in message else cloud.left)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of a folder that just begins
@pytest.mark.parametrize("fails", [KeyboardInterrupt(), BakeError("20-conda.sh failed")])
def test_an_interrupt_at_any_line_of_a_failing_bake_reports_everything_that_is_left(
    bench: Bench, tmp_path: Path, fails: BaseException
) -> None:
    source, cache = bench.context.source, tmp_path / "cache"

    assert unreported(lambda: Interrupted(source, cache, fails), Interrupted.not_named) == {}


LACK = CapacityError(
    "start instance failed", hint=None, code="InsufficientInstanceCapacity", zones=("us-east-1c",)
)
THIRD = Subnet("subnet-3", "vpc-1", "us-east-1c", 4091)


def subnets_tried(bench: Bench) -> list[object]:
    return [each["subnet_id"] for each in bench.packer.variables]


def test_a_zone_without_capacity_is_followed_by_the_one_that_ec2_recommends(bench: Bench) -> None:
    bench.cloud.all_subnets = (*SUBNETS, THIRD)
    bench.packer.lacks = [LACK]

    assert bench.bake().built
    assert subnets_tried(bench) == ["subnet-1", "subnet-3"]
    assert bench.notes == ["us-east-1a lacks capacity for m5.large: trying us-east-1c."]
    bench.assert_nothing_left()


def test_a_bake_fails_when_no_zone_has_capacity(bench: Bench) -> None:
    bench.packer.lacks = [LACK, LACK]

    with pytest.raises(CapacityError):
        bench.bake()
    assert subnets_tried(bench) == ["subnet-1", "subnet-2"]
    bench.assert_nothing_left()


@pytest.mark.parametrize(
    ("options", "subnet"),
    [
        ({"zone": ("us-east-1b", "us-east-1a")}, "subnet-2"),
        ({"subnet_id": "subnet-2"}, "subnet-2"),
        ({"vpc_id": "vpc-2"}, "subnet-9"),
        ({"type": "m7i.large"}, "subnet-2"),
    ],
)
def test_the_place_is_the_one_that_is_named_and_that_offers_the_type(
    options: dict[str, object], subnet: str, bench: Bench
) -> None:
    bench.cloud.all_subnets = (*SUBNETS, Subnet("subnet-9", "vpc-2", "us-east-1a", 4091))
    bench.cloud.only_in = {"m7i.large": "us-east-1b"}
    bench.bake(**options)

    assert subnets_tried(bench) == [subnet]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"zone": ("us-east-1x",)}, "--zone us-east-1x: there is no subnet to launch into there"),
        ({"subnet_id": "subnet-none"}, "--subnet-id subnet-none: there is no such subnet in this region"),
        ({"vpc_id": "vpc-none"}, "--vpc-id vpc-none: there is no subnet in such a VPC here"),
        ({"type": "m7i.large", "zone": ("us-east-1a",)}, "--type m7i.large is not available in us-east-1a"),
    ],
)
def test_a_place_that_is_not_there_is_refused_before_anything_is_created(
    options: dict[str, object], message: str, bench: Bench
) -> None:
    bench.cloud.only_in = {"m7i.large": "us-east-1b"}
    with pytest.raises(BakeError) as caught:
        bench.bake(**options)
    assert caught.value.message == message
    assert (bench.packer.variables, bench.cloud.rules) == ([], [])


def test_a_private_bake_has_no_public_address_and_lets_the_named_block_in(bench: Bench) -> None:
    bench.bake(private=True, cidr=("10.0.0.0/24",))
    (variables,) = bench.packer.variables

    assert (variables["associate_public_ip_address"], variables["ssh_interface"]) == (False, "private_ip")
    assert bench.cloud.rules == [("sg-0", ssh_rule("10.0.0.0/24"))]
