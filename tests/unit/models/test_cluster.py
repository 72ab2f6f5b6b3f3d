"""Clusters from what EC2 describes: its tags may be of another version, or of somebody else."""

from dataclasses import replace

import pytest

from dask_bake.models.cloud import Connect, Role
from dask_bake.models.tags import Tag
from fakes import a_cluster, a_plan


def tagged(cluster, changes):
    """Return the cluster with these tags of all nodes replaced; ``None`` removes one."""
    nodes = [
        replace(
            node, tags=tuple(each for each in {**dict(node.tags), **changes}.items() if each[1] is not None)
        )
        for node in cluster.nodes
    ]
    return replace(cluster, nodes=tuple(nodes))


@pytest.fixture
def cluster():
    return a_cluster(a_plan(count=4, nprocs=2))


def test_a_cluster_has_the_size_that_its_tags_say_even_if_nodes_are_gone(cluster):
    smaller = replace(cluster, nodes=cluster.nodes[:2], gone=cluster.nodes[2:])

    assert (smaller.size, smaller.expected_workers, len(smaller.workers)) == (4, 6, 1)


@pytest.mark.parametrize("count", ["1", "-3", "many", "9999999", None])
def test_a_cluster_is_never_smaller_than_the_nodes_that_it_has(cluster, count):
    assert tagged(cluster, {Tag.COUNT: count}).size == 4


@pytest.mark.parametrize("nprocs", ["x", "", "1e3", "-1", None])
def test_a_number_of_processes_that_is_none_counts_no_workers(cluster, nprocs):
    assert tagged(cluster, {Tag.NPROCS: nprocs}).expected_workers == 0


def test_nodes_that_are_ending_do_not_make_a_cluster_larger_than_it_should_be(cluster):
    smaller = tagged(cluster, {Tag.COUNT: "2"})
    ending = [replace(node, state="shutting-down") for node in smaller.nodes[2:]]
    shrunk = replace(smaller, nodes=(*smaller.nodes[:2], *ending))

    assert (shrunk.size, shrunk.expected_workers) == (2, 2)


@pytest.mark.parametrize(
    ("tag", "gone", "expected"), [("9", 0, 9), (None, 0, 4), ("2", 0, 4), (None, 7, 8), ("many", 0, 4)]
)
def test_the_next_number_is_one_that_no_node_had(cluster, tag, gone, expected):
    """By the head's tag, by the nodes that EC2 lists, and by the size of the launch."""
    ended = (replace(cluster.nodes[1], index=gone, state="terminated"),) if gone else ()

    assert replace(tagged(cluster, {Tag.NEXT_INDEX: tag}), gone=ended).next_index == expected


def test_a_node_of_an_unknown_role_is_neither_head_nor_worker_nor_counted(cluster):
    head, *workers = cluster.nodes
    stranger = replace(workers[-1], role=None, tags=((Tag.ROLE, "gpu"),))
    mixed = replace(cluster, nodes=(head, *workers[:-1], stranger))

    assert mixed.known_nodes == (head, *workers[:-1])
    assert (mixed.head, mixed.workers, stranger.role_text) == (head, tuple(workers[:-1]), "foreign")
    assert mixed.foreign_parts == (f"{stranger.id} has the unknown role 'gpu'",)


def test_values_of_another_version_s_tags_are_foreign_parts(cluster):
    assert cluster.foreign_parts == ()
    assert tagged(cluster, {Tag.CONNECT: "pigeon", Tag.COUNT: "many"}).foreign_parts == (
        f"the tag {Tag.CONNECT} is 'pigeon'",
        f"the tag {Tag.COUNT} is 'many'",
    )
    assert tagged(cluster, {Tag.CONNECT: "pigeon"}).transport is Connect.DIRECT


def test_the_head_that_is_gone_is_the_latest(cluster):
    head = cluster.nodes[0]
    later = replace(head, id="i-later", launched=head.launched.replace(year=2030))

    assert replace(cluster, nodes=(), gone=(later, head)).gone_head == later
    assert head.role is Role.HEAD


@pytest.mark.parametrize(
    ("value", "source"),
    [("forward", "forward"), ("profile", "profile"), (None, "none"), ("vault", "none")],
)
def test_an_unknown_source_of_credentials_is_none_and_foreign(cluster, value, source):
    seen = tagged(cluster, {Tag.CREDENTIALS: value})

    assert (seen.credentials, bool(seen.foreign_parts)) == (source, value == "vault")
