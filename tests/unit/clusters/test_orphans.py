"""Which tagged resources are orphaned."""

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
def test_a_cluster_with_a_live_head_is_not_orphaned(state):
    assert plan(head(state), *(resource(kind) for kind in ResourceKind)) == ReapPlan()


@pytest.mark.parametrize("state", ["shutting-down", "terminated"])
def test_all_resources_of_a_launch_whose_head_has_ended_are_orphaned(state):
    assert going(head(state), *(resource(kind) for kind in ResourceKind)) == [
        "i-0",
        "vol-0",
        "eni-0",
        "sg-0",
        "key-0",
    ]


@pytest.mark.parametrize("kind", [ResourceKind.VOLUME, ResourceKind.INTERFACE])
def test_attached_volumes_and_interfaces_are_removed_with_their_instance(kind):
    assert going(resource(kind, "in-use")) == []


@pytest.mark.parametrize("kind", ResourceKind)
def test_one_recent_resource_keeps_its_whole_launch(kind):
    young = resource(kind, created=NOW - GRACE_PERIOD + timedelta(seconds=1))

    found = plan(resource(ResourceKind.GROUP), young)

    assert not found
    assert [each.cluster for each in found.skipped] == ["taxi"]


def test_a_resource_created_in_the_future_is_not_orphaned():
    assert not plan(resource(ResourceKind.GROUP, created=NOW + timedelta(minutes=9)))


def test_a_launch_whose_head_has_just_ended_is_not_orphaned():
    """The launch may be trying another zone."""
    assert not plan(head("terminated", ended=NOW - timedelta(minutes=1)), resource(ResourceKind.GROUP))
    assert plan(head("terminated", ended=NOW - GRACE_PERIOD), resource(ResourceKind.GROUP))


def test_a_security_group_of_unknown_age_is_skipped_if_nothing_else_is_left_of_its_launch():
    found = plan(resource(ResourceKind.GROUP, created=None))

    assert not found
    assert [each.why for each in found.skipped] == ["its age is unknown"]
    assert going(resource(ResourceKind.GROUP, created=None), resource(ResourceKind.KEY_PAIR)) == [
        "sg-0",
        "key-0",
    ]


@pytest.mark.parametrize("missing", [Tag.MANAGED, Tag.CLUSTER, Tag.LAUNCH])
def test_a_resource_without_all_tags_of_dask_bake_is_never_removed(missing):
    whole = resource(ResourceKind.INSTANCE)
    assert plan(whole)
    assert not plan(replace(whole, tags=tuple(tag for tag in whole.tags if tag[0] != missing)))


def test_each_launch_of_a_cluster_name_is_decided_separately():
    assert going(head(launch="new"), resource(ResourceKind.INSTANCE, launch="old", id="i-lost")) == ["i-lost"]


@pytest.mark.parametrize("name", [BAKE, f"{BAKE}-proof"])
def test_a_lease_of_a_bake_is_orphaned_when_no_bake_can_still_run(name):
    def lease(age: timedelta) -> ReapPlan:
        return plan(resource(ResourceKind.GROUP, cluster=BAKE), head(cluster=name, created=NOW - age))

    assert not lease(BAKING - timedelta(seconds=1))
    assert lease(BAKING)


def test_a_lease_is_not_orphaned_between_build_and_verification():
    ended = head("terminated", cluster=BAKE, ended=NOW - timedelta(seconds=20))

    assert not plan(resource(ResourceKind.GROUP, cluster=BAKE), ended)
