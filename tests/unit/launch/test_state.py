"""State of a launch: the node that it waits for, and whether it can do without one."""

import pytest

from dask_bake.launch.state import LaunchState
from fakes import FakeCloud, a_plan, head_of, workers_of


def launched(**options) -> LaunchState:
    """Return the state of a launch whose nodes run: a head and two workers of two processes each."""
    cloud, state = FakeCloud(), LaunchState(a_plan(**options))
    (head,) = state.record(cloud.run_instances(head_of(state.plan)))
    state.record(cloud.run_instances(workers_of(state.plan, head.private_address)))
    return state


def always(_node) -> bool:
    return True


def test_a_node_lags_until_each_of_its_processes_has_registered():
    state = launched()
    one, other = state.snapshot.workers
    state.registered = {one.private_address: 2, other.private_address: 1}

    assert state.laggards == [other]
    state.registered[other.private_address] = 2
    assert state.laggards == []


def test_the_head_is_awaited_until_its_scheduler_has_answered():
    state = launched()
    assert state.awaited(always) == state.head

    state.has_scheduler = True
    assert state.awaited(always) == state.snapshot.workers[0]
    assert state.awaited(lambda _: False) == state.head


@pytest.mark.parametrize(("least", "can_spare"), [(None, False), (3, False), (2, True), (1, True)])
def test_a_worker_can_be_spared_while_the_least_number_of_processes_is_left(least, can_spare):
    state = launched(min_workers=least)

    assert state.can_spare(state.snapshot.workers[0]) is can_spare
    assert not state.can_spare(state.head)


def test_processes_of_an_abandoned_node_do_not_count():
    state = launched(min_workers=3)
    one, other = state.snapshot.workers
    state.registered = {one.private_address: 2, other.private_address: 2}
    assert state.has_enough_workers

    state.abandon(other)
    assert (state.has_enough_workers, state.snapshot.workers) == (False, (one,))


def test_an_abandoned_node_does_not_come_back_when_it_is_seen_again():
    state = launched()
    worker = state.snapshot.workers[0]
    state.abandon(worker)
    state.record((worker,))

    assert worker not in state.snapshot.nodes


def test_after_all_nodes_are_abandoned_the_launch_begins_again():
    state = launched()
    state.registered, state.has_scheduler = {"10.0.0.5": 2}, True
    ids = tuple(state.nodes)

    assert state.abandon_all() == ids
    assert (state.snapshot.nodes, state.registered, state.has_scheduler) == ((), {}, False)
    assert state.abandoned == set(ids)
