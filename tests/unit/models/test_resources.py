"""Resources that a launch can leave behind: whose they are, and whether they are old enough."""

from datetime import UTC, datetime, timedelta

import pytest

from dask_bake.models.ec2 import SecurityGroup
from dask_bake.models.resources import GRACE_PERIOD, Resource, ResourceKind, are_left_over, creation_time
from dask_bake.models.tags import Tag

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)
OURS = ((Tag.MANAGED, "true"), (Tag.CLUSTER, "dask"), (Tag.LAUNCH, "launch1"))


def group(created: str) -> SecurityGroup:
    return SecurityGroup("sg-1", "dask-bake-dask", "vpc-1", ((Tag.CREATED, created),))


@pytest.mark.parametrize("written", ["", "yesterday", "2026-13-01T00:00:00"])
def test_a_time_that_is_none_is_unknown(written):
    assert creation_time(((Tag.CREATED, written),)) is None


def test_a_time_without_a_zone_is_utc():
    assert creation_time(((Tag.CREATED, "2026-01-02T12:00:00"),)) == NOW


@pytest.mark.parametrize(
    ("ages", "is_left_over"),
    [
        ((), False),
        ((GRACE_PERIOD,), True),
        ((GRACE_PERIOD - timedelta(seconds=1),), False),
        ((GRACE_PERIOD, timedelta(0)), False),
        ((timedelta(seconds=-60),), False),
    ],
)
def test_groups_are_left_over_when_all_are_older_than_a_launch_can_take(ages, is_left_over):
    assert are_left_over([group((NOW - age).isoformat()) for age in ages], NOW) is is_left_over


def test_a_group_of_unknown_age_is_not_left_over():
    assert not are_left_over([group((NOW - timedelta(days=1)).isoformat()), group("unknown")], NOW)


@pytest.mark.parametrize("missing", [Tag.MANAGED, Tag.CLUSTER, Tag.LAUNCH])
def test_a_resource_is_ours_with_all_three_tags(missing):
    assert Resource(ResourceKind.VOLUME, "vol-1", OURS).is_ours
    assert not Resource(ResourceKind.VOLUME, "vol-1", tuple(tag for tag in OURS if tag[0] != missing)).is_ours


@pytest.mark.parametrize(
    ("kind", "state", "exists"),
    [
        (ResourceKind.INSTANCE, "stopped", True),
        (ResourceKind.INSTANCE, "shutting-down", False),
        (ResourceKind.VOLUME, "available", True),
        (ResourceKind.VOLUME, "in-use", False),
        (ResourceKind.INTERFACE, "in-use", False),
        (ResourceKind.GROUP, "", True),
    ],
)
def test_what_disappears_by_itself_does_not_exist(kind, state, exists):
    assert Resource(kind, "id-1", OURS, state).exists is exists


def test_a_resource_is_named_by_its_name_and_its_id():
    shown = [
        str(Resource(kind, "id-1", OURS, name=name))
        for kind, name in (
            (ResourceKind.KEY_PAIR, "mine"),
            (ResourceKind.GROUP, "g"),
            (ResourceKind.VOLUME, ""),
        )
    ]

    assert shown == ["key pair mine", "security group g (id-1)", "volume id-1"]
