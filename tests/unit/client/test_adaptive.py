"""Dask's Adaptive for whole nodes, on a real scheduler and real workers of this process."""

import pytest
from distributed import Client, Event

from dask_bake.client.adaptive import FIRST_RETRY, LAST_RETRY, NodeAdaptive
from dask_bake.client.managed import ManagedCluster
from dask_bake.errors import CapacityError, UsageError
from dask_nodes import DaskNodes, FakeBackend
from polling import until

LIMIT = 60
QUICK = {"interval": "20ms", "wait_count": 2, "cool_down": 0.0, "target_duration": "100ms"}


@pytest.fixture
def nodes():
    there = DaskNodes()
    yield there
    there.close()


@pytest.fixture
def cluster(nodes):
    with ManagedCluster(FakeBackend(nodes, size=1), "one", quiet=True) as cluster:
        yield cluster


class Counting(NodeAdaptive):
    """The same, which counts its looks."""

    looks = 0

    async def target(self):
        Counting.looks += 1
        return await super().target()


def wait_for(name: str) -> int:
    Event(name).wait(timeout=LIMIT)
    return 1


def test_bursts_of_work_move_it_between_its_bounds_and_no_busy_worker_is_ended(nodes, cluster):
    cluster.adapt(minimum=1, maximum=7, **QUICK)  # three whole nodes
    with Client(cluster) as client:
        for burst in range(3):
            event = Event(f"burst-{burst}", client=client)
            futures = client.map(wait_for, [event.name] * 40, pure=False)
            until(lambda: len(nodes.hosts) == 3, timeout=LIMIT)
            event.set()
            assert sum(client.gather(futures)) == 40
            del futures
            until(lambda: len(nodes.hosts) == 1, timeout=LIMIT)
    assert (min(nodes.sizes), max(nodes.sizes), nodes.busy_ended) == (1, 3, 0)


def test_a_worker_that_computes_stays_while_the_others_go(nodes, cluster):
    cluster.scale(6)
    cluster.wait_for_workers(6, timeout=LIMIT)
    with Client(cluster) as client:
        event = Event("long", client=client)
        busy = sorted(nodes.hosts)[-1]
        future = client.submit(wait_for, "long", workers=[busy], allow_other_workers=False)
        until(lambda: any(each.processing for each in nodes.scheduler.workers.values()), timeout=LIMIT)
        cluster.adapt(minimum=0, maximum=6, **QUICK)
        until(lambda: set(nodes.hosts) == {busy}, timeout=LIMIT)
        event.set()
        assert future.result(timeout=LIMIT) == 1


def test_capacity_that_is_refused_is_told_and_tried_more_rarely(nodes, capsys):
    now = [0.0]
    refusals = [CapacityError("no capacity", hint=None, code="c") for _ in range(2)]
    backend = FakeBackend(nodes, size=1, refusals=refusals)
    with ManagedCluster(backend, "one") as cluster, Client(cluster) as client:
        event = Event("work", client=client)
        futures = client.map(wait_for, ["work"] * 40, pure=False)
        adaptive = cluster.adapt(minimum=1, maximum=4, clock=lambda: now[0], **QUICK)
        asked = lambda: backend.calls.count("scale 3")  # noqa: E731
        for attempt, pause in enumerate((0.0, FIRST_RETRY, 2 * FIRST_RETRY), start=1):
            now[0] += pause
            until(lambda n=attempt: asked() >= n, timeout=LIMIT)
            if attempt < 3:  # the pause begins when the refusal has arrived
                until(lambda: adaptive._retry_at > now[0], timeout=LIMIT)
                assert asked() == attempt
        until(lambda: len(nodes.hosts) == 2, timeout=LIMIT)
        event.set()
        client.gather(futures)
    told = capsys.readouterr().out
    assert told.count("No more workers now: no capacity") == 2
    assert "The next attempt is in 30 s" in told
    assert "The next attempt is in 60 s" in told
    assert 2**5 * FIRST_RETRY > LAST_RETRY


def test_a_node_that_was_lost_is_replaced_when_its_workers_are_needed(nodes, cluster):
    cluster.adapt(minimum=4, maximum=4, **QUICK)
    until(lambda: len(nodes.hosts) == 2, timeout=LIMIT)
    nodes.lose(sorted(nodes.hosts)[0])
    until(lambda: len(nodes.hosts) == 2, timeout=LIMIT)


def test_a_change_is_followed_by_a_pause_before_nodes_go(nodes, cluster):
    now = [100.0]
    cluster.adapt(Counting, minimum=1, maximum=4, clock=lambda: now[0], **{**QUICK, "cool_down": 50.0})
    with Client(cluster) as client:
        event = Event("work", client=client)
        futures = client.map(wait_for, ["work"] * 40, pure=False)
        until(lambda: len(nodes.hosts) == 2, timeout=LIMIT)
        event.set()
        client.gather(futures)
        del futures
        looks = Counting.looks
        until(lambda: Counting.looks > looks + 10, timeout=LIMIT)
        assert len(nodes.hosts) == 2
        now[0] += 50.0
        until(lambda: len(nodes.hosts) == 1, timeout=LIMIT)


def test_an_adaptive_that_ends_single_workers_is_refused(cluster):
    from distributed.deploy import Adaptive

    with pytest.raises(UsageError, match="Adaptive decides on single workers"):
        cluster.adapt(Adaptive)


def test_scaling_by_hand_ends_adapting(nodes, cluster):
    adaptive = cluster.adapt(minimum=1, maximum=8, **QUICK)
    until(lambda: adaptive.state == "running", timeout=LIMIT)
    cluster.scale(4)
    until(lambda: len(nodes.hosts) == 2, timeout=LIMIT)
    assert adaptive.state == "stopped"
    assert isinstance(adaptive, NodeAdaptive)
