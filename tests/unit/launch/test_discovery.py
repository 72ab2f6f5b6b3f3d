"""The image and its newest base, found with one request each."""

from dataclasses import replace
from datetime import timedelta
from fnmatch import fnmatchcase

import pytest

from dask_bake.errors import BakeError
from dask_bake.launch.discovery import discover, newest_base
from dask_bake.launch.preflight import choose_image
from dask_bake.models.cloud import DEBIAN_ACCOUNT
from dask_bake.models.ec2 import Image
from dask_bake.models.tags import Tag, Verified
from dask_bake.options.launch import LaunchOptions
from fakes import CLOUD, IMAGE, FakeQueries

BAKED = replace(
    IMAGE,
    tags=(
        (Tag.BASE_NAME, "debian-12-amd64-20260101-1234"),
        (Tag.MANAGED, "true"),
        (Tag.VERIFIED, Verified.SKIPPED),
    ),
)


def chosen(options: LaunchOptions, ec2: FakeQueries) -> Image:
    return choose_image(options, discover(options, CLOUD, ec2, lambda: "192.0.2.7/32"))


def a_base(name: str, *, days: int, **changes) -> Image:
    return replace(IMAGE, id=f"ami-{days}", name=name, created=IMAGE.created + timedelta(days), **changes)


def test_the_newest_verified_image_is_chosen_with_one_request():
    newer = replace(BAKED, id="ami-2", created=IMAGE.created + timedelta(days=1))
    pending = replace(newer, id="ami-3", state="pending")
    unverified = replace(newer, id="ami-4", tags=((Tag.MANAGED, "true"),))
    ec2 = FakeQueries({"self": (IMAGE, BAKED, newer, pending, unverified)})

    assert chosen(LaunchOptions(), ec2) == newer
    assert ec2.image_queries == [("self", {"tag:dask-bake:managed": "true", "state": "available"})]


def test_any_available_image_can_be_chosen_by_id():
    foreign = replace(IMAGE, id="ami-2")
    pending = replace(IMAGE, id="ami-3", state="pending")
    ec2 = FakeQueries({"self": (BAKED, foreign, pending)})

    assert chosen(LaunchOptions(ami="ami-2"), ec2) == foreign
    with pytest.raises(BakeError, match="the image ami-3 is pending, not available"):
        chosen(LaunchOptions(ami="ami-3"), ec2)


def test_the_newest_base_is_debian_s_newest_of_the_same_release():
    bases = (
        a_base("debian-12-amd64-20260101-1234", days=1),
        a_base("debian-12-amd64-20260401-1234", days=2),
        a_base("debian-13-amd64-20260501-1234", days=3),
        a_base("debian-12-amd64-20260601-1234", days=4, state="pending"),
    )
    ec2 = FakeQueries({DEBIAN_ACCOUNT: bases, "self": (a_base("debian-12-amd64-20260701-1234", days=5),)})

    assert newest_base(BAKED, ec2) == "debian-12-amd64-20260401-1234"
    assert ec2.image_queries == [
        (
            DEBIAN_ACCOUNT,
            {"name": "debian-12-amd64-*", "architecture": "x86_64", "state": "available"},
        )
    ]


def test_the_newest_base_is_requested_only_for_debian_s_bases():
    ec2 = FakeQueries()

    assert (newest_base(IMAGE, ec2), ec2.image_queries) == (None, [])


@pytest.mark.parametrize("ec2", [FakeQueries(), FakeQueries(refused=[DEBIAN_ACCOUNT])])
def test_an_unknown_newest_base_is_not_an_error(ec2):
    assert newest_base(BAKED, ec2) is None


def test_a_launch_that_may_not_list_instances_is_refused_before_anything_is_made():
    """Its clean-up could not look for what it had made."""

    class Unlisting(FakeQueries):
        def nodes(self, tags):
            raise BakeError("you may not: ec2:DescribeInstances")

    with pytest.raises(BakeError, match="ec2:DescribeInstances"):
        chosen(LaunchOptions(), Unlisting({"self": (BAKED,)}))


class Offering(FakeQueries):
    """A region that offers some types, and lists them for a pattern."""

    def offerings(self, names):
        kinds = ("m6i.large", "m6i.2xlarge", "m6i.metal", "m6g.2xlarge", "g5.xlarge")
        return frozenset(
            (kind, "us-east-1a") for kind in kinds if any(fnmatchcase(kind, each) for each in names)
        )


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        ("m6i.2xlarg", "did you mean m6i.2xlarge or "),
        ("g5", "did you mean g5.xlarge?"),
        ("m99", "such as m6i.2xlarge; of similar families the region has m6g, m6i"),
        ("x1.large", "such as m6i.2xlarge"),
        ("2xlarge", "such as m6i.2xlarge"),
    ],
)
def test_the_error_for_an_unknown_type_names_similar_ones(wrong, hint):
    with pytest.raises(BakeError) as caught:
        discover(LaunchOptions(type=(wrong,)), CLOUD, Offering(), lambda: "192.0.2.7/32")

    assert caught.value.hint.startswith(hint)
