"""What belongs to no living cluster: how that is decided, shown, and removed though some of it resists."""

from dataclasses import replace
from datetime import timedelta

import pytest

from dask_bake.clusters.orphans import BAKING, ReapPlan, plan_reap
from dask_bake.models.cloud import Role
from dask_bake.models.resources import GRACE_PERIOD, Resource, ResourceKind
from dask_bake.models.tags import Tag
from orphans import NOW, resource

BAKE = "image-0123456789ab"


def head(state: str = "running", **changes) -> Resource:
    return resource(ResourceKind.INSTANCE, state, role=Role.HEAD, id="i-head", **changes)


def plan(*resources: Resource) -> ReapPlan:
    return plan_reap("us-east-1", resources, NOW)


def going(*resources: Resource) -> list[str]:
    return [each.id for remains in plan(*resources).orphans for each in remains.resources]


@pytest.mark.parametrize("state", ["pending", "running", "stopping", "stopped"])
def test_a_cluster_lives_as_long_as_its_head(state):
    assert plan(head(state), *(resource(kind) for kind in ResourceKind)) == ReapPlan()


@pytest.mark.parametrize("state", ["shutting-down", "terminated"])
def test_when_its_head_has_ended_all_the_rest_goes(state):
    assert going(head(state), *(resource(kind) for kind in ResourceKind)) == [
        "i-0",
        "vol-0",
        "eni-0",
        "sg-0",
        "key-0",
    ]


@pytest.mark.parametrize("kind", [ResourceKind.VOLUME, ResourceKind.INTERFACE])
def test_what_an_instance_still_has_goes_with_it(kind):
    assert going(resource(kind, "in-use")) == []


@pytest.mark.parametrize("kind", ResourceKind)
def test_whatever_is_young_keeps_its_launch(kind):
    young = resource(kind, created=NOW - GRACE_PERIOD + timedelta(seconds=1))

    found = plan(resource(ResourceKind.GROUP), young)

    assert not found
    assert [each.cluster for each in found.skipped] == ["taxi"]


def test_a_clock_that_is_ahead_makes_nothing_old():
    assert not plan(resource(ResourceKind.GROUP, created=NOW + timedelta(minutes=9)))


def test_a_head_that_ended_just_now_keeps_its_launch():
    """Another place may be tried for it."""
    assert not plan(head("terminated", ended=NOW - timedelta(minutes=1)), resource(ResourceKind.GROUP))
    assert plan(head("terminated", ended=NOW - GRACE_PERIOD), resource(ResourceKind.GROUP))


def test_a_group_whose_age_nothing_tells_is_left_to_people():
    found = plan(resource(ResourceKind.GROUP, created=None))

    assert not found
    assert [each.why for each in found.skipped] == ["nothing tells its age"]
    assert going(resource(ResourceKind.GROUP, created=None), resource(ResourceKind.KEY_PAIR)) == [
        "sg-0",
        "key-0",
    ]


@pytest.mark.parametrize("missing", [Tag.MANAGED, Tag.CLUSTER, Tag.LAUNCH])
def test_what_lacks_one_of_our_tags_is_nobody_s_to_remove(missing):
    whole = resource(ResourceKind.INSTANCE)
    assert plan(whole)
    assert not plan(replace(whole, tags=tuple(tag for tag in whole.tags if tag[0] != missing)))


def test_a_launch_is_judged_by_itself():
    assert going(head(launch="new"), resource(ResourceKind.INSTANCE, launch="old", id="i-lost")) == ["i-lost"]


@pytest.mark.parametrize("name", [BAKE, f"{BAKE}-proof"])
def test_a_bake_lives_as_long_as_a_bake_can_take(name):
    def claim(age: timedelta) -> ReapPlan:
        return plan(resource(ResourceKind.GROUP, cluster=BAKE), head(cluster=name, created=NOW - age))

    assert not claim(BAKING - timedelta(seconds=1))
    assert claim(BAKING)


def test_between_a_bake_s_two_machines_its_claim_stays():
    ended = head("terminated", cluster=BAKE, ended=NOW - timedelta(seconds=20))

    assert not plan(resource(ResourceKind.GROUP, cluster=BAKE), ended)
