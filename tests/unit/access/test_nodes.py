"""The nodes of a cluster that a command is about."""

from dataclasses import replace

import pytest

from dask_bake.access.nodes import choose_nodes
from dask_bake.errors import UsageError
from dask_bake.options.node_words import node_numbers
from fakes import a_cluster


def indices(*arguments, **options):
    return [node.index for node in choose_nodes(*arguments, **options)]


def test_without_numbers_it_is_the_head_and_all_are_those_that_are_up():
    cluster = a_cluster()
    head, first, second = cluster.nodes
    half = replace(cluster, nodes=(head, replace(first, state="shutting-down"), second))
    assert indices(cluster, None, every=False) == [0]
    assert indices(half, None, every=True) == [0, 2]
    assert indices(cluster, node_numbers("1-", "NODES"), every=False) == [1, 2]


def test_a_number_that_is_not_there_is_wrong_use():
    with pytest.raises(UsageError, match="has no node 3"):
        choose_nodes(a_cluster(), node_numbers("2-9", "NODES"), every=False)


def test_numbers_and_all_contradict_each_other():
    with pytest.raises(UsageError, match="contradict"):
        choose_nodes(a_cluster(), node_numbers("1", "NODES"), every=True)


def test_a_cluster_without_its_head_says_so_whatever_node_is_meant():
    cluster = a_cluster()
    headless = replace(cluster, nodes=cluster.nodes[1:])
    with pytest.raises(UsageError, match="has no head node"):
        choose_nodes(headless, node_numbers("1", "NODES"), every=False)
