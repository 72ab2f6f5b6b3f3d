"""What `launch` does besides launching."""

import platform
from dataclasses import replace
from datetime import timedelta
from importlib import metadata

import pytest

from dask_bake.commands.launch import notes, own_packages, write_metadata
from dask_bake.errors import BakeError, LeftoverError, UsageError
from dask_bake.images.compatibility import Packages
from dask_bake.launch.discovery import choose_image, find_images, newest_base
from dask_bake.models.cloud import DEBIAN_ACCOUNT
from dask_bake.models.ec2 import Image
from dask_bake.models.tags import Tag, Verified
from dask_bake.options.launch import LaunchOptions
from fakes import IMAGE, TYPE, FakeLookUps, a_cluster, a_plan, hint_of

BAKED = replace(
    IMAGE,
    tags=(
        (Tag.BASE_NAME, "debian-12-amd64-20260101-1234"),
        (Tag.DISTRIBUTED, "2026.8.0"),
        (Tag.MANAGED, "true"),
        (Tag.NUMPY, "2.0.0"),
        (Tag.VERIFIED, Verified.SKIPPED),
    ),
)
CLIENT = Packages("3.11.7", distributed="2026.8.0", numpy="2.4.6")


def chosen(options: LaunchOptions, ec2: FakeLookUps) -> Image:
    return choose_image(find_images(options, ec2), TYPE, asked=options.ami is not None)


def a_base(name: str, *, days: int, **changes) -> Image:
    return replace(IMAGE, id=f"ami-{days}", name=name, created=IMAGE.created + timedelta(days), **changes)


def test_a_file_that_cannot_be_written_leaves_a_cluster_and_says_so(tmp_path):
    """Exit code 3, the cluster's name, and how to end it."""
    with pytest.raises(
        LeftoverError, match="could not be written: Is a directory; the cluster mine is up"
    ) as caught:
        write_metadata(tmp_path, {}, a_cluster(a_plan(name="mine")))

    assert caught.value.exit_code == 3
    assert "dask-bake down mine" in hint_of(caught.value)


def test_the_newest_managed_image_that_was_proved_is_chosen_by_one_question():
    newer = replace(BAKED, id="ami-2", created=IMAGE.created + timedelta(days=1))
    pending = replace(newer, id="ami-3", state="pending")
    unproved = replace(newer, id="ami-4", tags=((Tag.MANAGED, "true"),))
    ec2 = FakeLookUps({"self": (IMAGE, BAKED, newer, pending, unproved)})

    assert chosen(LaunchOptions(), ec2) == newer
    assert ec2.asked == [("self", {"tag:dask-bake:managed": "true", "state": "available"})]


def test_any_available_image_can_be_asked_for_by_its_id():
    foreign = replace(IMAGE, id="ami-2")
    pending = replace(IMAGE, id="ami-3", state="pending")
    ec2 = FakeLookUps({"self": (BAKED, foreign, pending)})

    assert chosen(LaunchOptions(ami="ami-2"), ec2) == foreign
    with pytest.raises(BakeError, match="the image ami-3 is pending, not available"):
        chosen(LaunchOptions(ami="ami-3"), ec2)


def test_the_newest_base_is_debians_newest_of_the_same_series():
    bases = (
        a_base("debian-12-amd64-20260101-1234", days=1),
        a_base("debian-12-amd64-20260401-1234", days=2),
        a_base("debian-13-amd64-20260501-1234", days=3),
        a_base("debian-12-amd64-20260601-1234", days=4, state="pending"),
    )
    ec2 = FakeLookUps({DEBIAN_ACCOUNT: bases, "self": (a_base("debian-12-amd64-20260701-1234", days=5),)})

    assert newest_base(BAKED, ec2) == "debian-12-amd64-20260401-1234"
    assert ec2.asked == [
        (
            DEBIAN_ACCOUNT,
            {"name": "debian-12-amd64-*", "architecture": "x86_64", "state": "available"},
        )
    ]


def test_the_newest_base_is_asked_for_only_where_the_base_is_debians():
    ec2 = FakeLookUps()

    assert (newest_base(IMAGE, ec2), ec2.asked) == (None, [])


@pytest.mark.parametrize("ec2", [FakeLookUps(), FakeLookUps(refused=[DEBIAN_ACCOUNT])])
def test_a_newest_base_that_is_not_to_be_had_is_silent(ec2):
    assert newest_base(BAKED, ec2) is None


def test_what_a_user_should_know_is_told_once_each_before_the_launch():
    plan = a_plan(image=BAKED, nprocs=9)
    around = replace(plan.surroundings, newest_base="debian-12-amd64-20260401-1234")

    assert notes(replace(plan, surroundings=around), CLIENT, now=IMAGE.created) == (
        "The image has numpy 2.0.0, this machine 2.4.6:"
        " what one side sends may mean something else on the other.",
        "The image ami-0123456789abcdef0 was never booted in test: dask-bake bake proves it.",
        "The image's base debian-12-amd64-20260101-1234 has been superseded by"
        " debian-12-amd64-20260401-1234: dask-bake bake takes that.",
        "9 worker processes of 1 threads share the 8 virtual CPUs of a m6i.2xlarge.",
    )


def test_there_is_nothing_to_say_of_a_plan_that_fits():
    assert notes(a_plan(), CLIENT, now=IMAGE.created) == ()


def test_a_mismatch_ends_the_launch_unless_it_is_allowed():
    other = replace(CLIENT, distributed="2025.1.0", numpy=None)
    image = replace(BAKED, tags=((Tag.DISTRIBUTED, "2026.8.0"),))

    with pytest.raises(UsageError, match=r"distributed 2026\.8\.0, this machine distributed 2025\.1\.0"):
        notes(a_plan(image=image), other, now=IMAGE.created)
    assert notes(a_plan(image=image, allow_mismatch=True), other, now=IMAGE.created) == (
        "The image has distributed 2026.8.0, this machine 2025.1.0:"
        " a client here may not understand the cluster.",
    )


def test_the_clients_packages_are_those_of_this_environment():
    installed = {each.name.lower(): each.version for each in metadata.distributions()}

    assert own_packages() == Packages(
        python=platform.python_version(),
        dask=installed.get("dask"),
        distributed=installed.get("distributed"),
        numpy=installed.get("numpy"),
        pandas=installed.get("pandas"),
    )
