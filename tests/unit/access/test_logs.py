"""Logs of nodes without a journal to read, and which nodes are meant."""

from dataclasses import replace

import pytest

from dask_bake.access.logs import LogRequest, choose_logged, read_logs
from dask_bake.access.records import Source
from dask_bake.errors import BakeError, UsageError
from dask_bake.options.node_words import node_numbers
from fakes import FakeCloud, a_cluster


@pytest.fixture
def cluster():
    """A head and a worker; another worker has ended."""
    cluster = a_cluster()
    head, first, second = cluster.nodes
    return replace(cluster, nodes=(head, first), gone=(replace(second, state="terminated"),))


def indices(*arguments, **options):
    return [node.index for node in choose_logged(*arguments, **options)]


def test_nodes_that_have_ended_are_shown_by_their_number_and_with_all(cluster):
    assert indices(cluster, None, every=False) == [0, 1]
    assert indices(cluster, None, every=True) == [0, 1, 2]
    assert indices(cluster, node_numbers("2", "NODES"), every=False) == [2]
    ended = replace(cluster, nodes=())
    assert indices(ended, None, every=False) == [2]
    with pytest.raises(UsageError, match="has no node 7"):
        choose_logged(cluster, node_numbers("1,7", "NODES"), every=False)


def test_of_a_node_that_does_not_answer_or_is_gone_the_console_is_shown(cluster):
    ec2 = FakeCloud(console="\x1b[1mone\ntwo\nthree")
    nodes = choose_logged(cluster, None, every=True)
    hosts = {index: BakeError("it is booting") for index in (0, 1)}

    logs = read_logs(nodes, hosts, ec2, LogRequest(lines=2))

    assert [log.trouble for log in logs] == ["it is booting", "it is booting", "it is terminated"]
    for log in logs:
        assert [(record.source, record.text) for record in log.records] == [
            (Source.CONSOLE, "two"),
            (Source.CONSOLE, "three"),
        ]


def test_after_the_deadline_nothing_is_read(cluster):
    ec2 = FakeCloud()
    (log,) = read_logs(cluster.nodes[:1], {}, ec2, LogRequest(), deadline=5.0, clock=lambda: 6.0)
    assert (log.records, log.trouble, ec2.calls) == ((), "there was no time left for it", [])
