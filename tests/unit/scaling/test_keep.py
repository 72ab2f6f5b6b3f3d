"""When nodes are replaced, decided from what EC2 describes."""

import threading
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from dask_bake.models.tags import Tag
from dask_bake.scaling.keep import (
    Keeper,
    allowed_from,
    attempt,
    has_given_up,
    missing,
    sentence,
    start_keeper,
)
from fakes import FakeCloud, a_cluster, a_plan

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)


@pytest.fixture
def cluster():
    """A head and three workers, numbers 1 to 3."""
    return a_cluster(a_plan(count=4, nprocs=2, keep_size=True))


def gone(cluster, number: int, *, lived: float = 60, ago: float = 10):
    """Return a replacement that has ended: the number of its attempt, and seconds."""
    ended = NOW - timedelta(seconds=ago)
    node = cluster.workers[-1]
    return replace(
        node,
        id=f"i-gone{number}",
        state="terminated",
        launched=ended - timedelta(seconds=lived),
        ended=ended,
        tags=(*node.tags, (Tag.REPLACEMENT, str(number))),
    )


def without(cluster, number: int):
    """Return the cluster after so many of its workers have ended."""
    nodes = cluster.nodes[: len(cluster.nodes) - number]
    return replace(cluster, nodes=nodes)


def test_nodes_are_missing_from_the_size_that_was_asked_for(cluster):
    ending = replace(cluster.nodes[3], state="shutting-down")
    assert [missing(each) for each in (cluster, without(cluster, 2))] == [0, 2]
    assert missing(replace(cluster, nodes=(*cluster.nodes[:3], ending))) == 1


@pytest.mark.parametrize("state", ["pending", "shutting-down"])
def test_without_a_head_that_runs_nothing_is_missing(cluster, state):
    head = replace(cluster.nodes[0], state=state)
    assert missing(replace(cluster, nodes=(head, cluster.nodes[1]))) == 0
    assert missing(replace(cluster, nodes=cluster.nodes[1:3])) == 0


def test_a_node_of_the_launch_that_ended_is_replaced_at_once(cluster):
    ended = replace(cluster.nodes[3], state="terminated", launched=NOW - timedelta(seconds=20), ended=NOW)
    lost = replace(without(cluster, 1), gone=(ended,))
    assert (attempt(lost, NOW), allowed_from(lost, NOW)) == (1, NOW)


@pytest.mark.parametrize(("failed", "seconds"), [(1, 30), (2, 120), (3, 3600)])
def test_the_more_replacements_end_at_once_the_later_the_next_is_started(cluster, failed, seconds):
    lost = replace(without(cluster, 1), gone=tuple(gone(cluster, each) for each in range(1, failed + 1)))
    assert attempt(lost, NOW) == failed + 1
    assert allowed_from(lost, NOW) == NOW + timedelta(seconds=seconds - 10)
    assert has_given_up(lost, NOW) is (failed == 3)


def test_a_replacement_that_lived_or_ended_long_ago_does_not_count(cluster):
    lost = replace(without(cluster, 1), gone=(gone(cluster, 3, lived=700), gone(cluster, 2, ago=3601)))
    assert (attempt(lost, NOW), has_given_up(lost, NOW)) == (1, False)


def test_a_sentence_says_who_keeps_the_size(cluster):
    given_up = replace(without(cluster, 1), gone=(gone(cluster, 3),))
    assert sentence(a_cluster(a_plan(count=4)), NOW) == ""
    assert "while its owner is connected" in sentence(cluster, NOW)
    assert "before 12:59 UTC" in sentence(given_up, NOW)


@dataclass
class Endless:
    """A replacement that never ends, and undoes its work when it is interrupted."""

    begun: threading.Event = field(default_factory=threading.Event)
    undone: bool = False

    def __call__(self, *_, sleep, **_options):
        self.sleep = sleep
        return self

    def restore(self, _launch_id, _replacement):
        self.begun.set()
        try:
            while True:
                self.sleep(0.01)
        finally:
            self.sleep(0.01)  # the undoing can pause
            self.undone = True


def a_keeper(cluster, make_scaling) -> Keeper:
    ec2 = FakeCloud(instances=[*cluster.nodes])
    cloud = type("Cloud", (), {"name": "aws", "region": "us-east-1"})()
    return Keeper(cluster, cloud, ec2, lambda _: None, make_scaling, interval=0.01)


def test_a_replacement_is_undone_when_the_keeper_is_stopped(cluster):
    endless = Endless()
    keeper = a_keeper(without(cluster, 1), endless)
    keeper.start()
    assert endless.begun.wait(60)
    keeper.stop()
    keeper.stop()

    assert endless.undone


def test_a_keeper_that_has_nothing_to_do_stops_at_once_and_can_be_stopped_unstarted(cluster):
    idle, unstarted = a_keeper(cluster, Endless()), a_keeper(cluster, Endless())
    idle.start()
    for each in (idle, unstarted):
        each.stop()
    assert not any(thread.name == "dask-bake keeper" for thread in threading.enumerate())


def test_only_a_cluster_of_the_caller_s_that_keeps_its_size_has_a_keeper(cluster):
    cloud = type("Cloud", (), {"name": "aws", "region": "us-east-1"})()
    somebodys = replace(
        cluster, nodes=tuple(replace(node, tags=(*node.tags, (Tag.OWNER, "bert"))) for node in cluster.nodes)
    )
    others = (a_cluster(a_plan(count=4, keep_size=False)), somebodys)
    ec2 = FakeCloud(instances=[*cluster.nodes])
    assert [start_keeper(each, cloud, ec2, lambda _: None) for each in others] == [None, None]
