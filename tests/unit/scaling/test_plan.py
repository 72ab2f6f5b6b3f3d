"""Plan of a change of size: from observed nodes and a wanted number, without a request."""

from dataclasses import replace

import pytest

from dask_bake.errors import UsageError
from dask_bake.models.tags import Tag
from dask_bake.scaling.plan import Direction, NodeLoad, bound, plan_scale
from fakes import a_cluster, a_plan, hint_of


@pytest.fixture
def cluster():
    """A head and three workers, numbers 1 to 3."""
    return a_cluster(a_plan(count=4, nprocs=2))


def loads(cluster, *each: NodeLoad) -> dict[str, NodeLoad]:
    return {node.private_address: load for node, load in zip(cluster.workers, each, strict=True)}


def test_more_nodes_get_numbers_that_no_node_had(cluster):
    plan = plan_scale(cluster, 6)

    assert (plan.direction, plan.add, plan.added_indices, plan.retire) == (Direction.UP, 2, (4, 5), ())


def test_nodes_that_ended_are_replaced_by_others_with_new_numbers(cluster):
    ended = replace(cluster.nodes[3], state="terminated")
    plan = plan_scale(replace(cluster, nodes=cluster.nodes[:3], gone=(ended,)), 4)

    assert (plan.there, plan.added_indices) == (3, (4,))


def test_a_node_that_is_shutting_down_does_not_count(cluster):
    ending = replace(cluster.nodes[2], state="shutting-down")
    plan = plan_scale(replace(cluster, nodes=(*cluster.nodes[:2], ending, cluster.nodes[3])), 4)

    assert (plan.there, plan.add) == (3, 1)


def test_the_same_number_changes_nothing(cluster):
    plan = plan_scale(cluster, 4)

    assert (plan.direction, plan.add, plan.retire) == (Direction.SAME, 0, ())


def test_the_nodes_with_the_least_to_do_end_first(cluster):
    by_load = loads(
        cluster,
        NodeLoad(2, tasks=4, occupancy=3.0),
        NodeLoad(2, tasks=1, occupancy=9.0),
        NodeLoad(2, nbytes=10**9),
    )
    first, second, third = cluster.workers

    assert plan_scale(cluster, 3, by_load).retire == (third,)
    assert plan_scale(cluster, 2, by_load).retire == (third, first)
    assert plan_scale(cluster, 3, by_load, [second.private_address]).retire == (second,)


def test_of_equally_loaded_nodes_the_last_ends(cluster):
    assert [node.index for node in plan_scale(cluster, 2).retire] == [3, 2]


def test_a_node_without_workers_ends_before_one_that_works(cluster):
    one, _, three = cluster.workers
    known = {one.private_address: NodeLoad(2, tasks=1), three.private_address: NodeLoad(2, nbytes=1)}

    assert [node.index for node in plan_scale(cluster, 3, known).retire] == [2]


def test_a_node_that_holds_an_actor_stays_if_another_can_end(cluster):
    by_load = loads(cluster, NodeLoad(2, tasks=9), NodeLoad(2, tasks=9), NodeLoad(2, holds="an actor"))

    assert [node.index for node in plan_scale(cluster, 2, by_load).retire] == [2, 1]
    assert bound(plan_scale(cluster, 2, by_load).retire, by_load) is None


def test_nodes_that_hold_what_cannot_be_moved_are_named(cluster):
    by_load = loads(cluster, NodeLoad(2, holds="an actor"), NodeLoad(2), NodeLoad(2, holds="an actor"))
    error = bound(plan_scale(cluster, 2, by_load).retire, by_load)

    assert error is not None
    assert "node 3 has an actor" in error.message


@pytest.mark.parametrize("wanted", [1, 0, -3])
def test_a_cluster_keeps_a_head_and_a_worker_node(cluster, wanted):
    with pytest.raises(UsageError, match=f"--count must be at least 2, not {wanted}") as caught:
        plan_scale(cluster, wanted)
    assert "dask-bake down dask ends the cluster" in hint_of(caught.value)


def test_the_next_number_outlives_nodes_that_ec2_has_forgotten(cluster):
    head, *others = cluster.nodes
    head = replace(head, tags=tuple({**dict(head.tags), Tag.NEXT_INDEX: "12"}.items()))

    assert plan_scale(replace(cluster, nodes=(head, *others)), 6).added_indices == (12, 13)
