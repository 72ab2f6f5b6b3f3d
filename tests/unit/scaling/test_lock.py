"""The lock on a cluster's size: one process holds it, and one that was killed does not hold it for ever."""

from dataclasses import replace

import pytest

from dask_bake.errors import BakeError, TransientError
from dask_bake.models.owner import NOBODY
from dask_bake.models.tags import Tag
from dask_bake.scaling.lock import EXPIRY, ScaleLock, lock_name
from fakes import FakeClock, FakeCloud, Fault, a_cluster, a_plan


class Locks:
    """Processes that lock the size of one cluster."""

    def __init__(self) -> None:
        self.cloud, self.clock, self.notes = FakeCloud(), FakeClock(), []
        self.cluster = a_cluster(a_plan())

    def lock(self, timeout: float = 10.0, sleep=None) -> ScaleLock:
        return ScaleLock(
            self.cloud,
            self.cluster,
            NOBODY,
            timeout,
            lambda note: self.notes.append(note),
            self.clock,
            sleep or self.clock.sleep,
        )

    @property
    def held(self) -> list[str]:
        return [group.name for group in self.cloud.security_groups]


@pytest.fixture
def locks():
    return Locks()


def test_the_lock_is_a_group_that_is_there_while_it_is_held(locks):
    name = lock_name(locks.cluster.name)
    with locks.lock().held() as lock:
        assert locks.held == [name]
        lock.check()
    assert locks.held == []


def test_an_error_releases_the_lock(locks):
    with pytest.raises(BakeError, match="no more"), locks.lock().held():
        raise BakeError("no more")
    assert locks.held == []


def test_a_second_process_gives_up_after_its_time_and_does_not_take_the_lock(locks):
    with locks.lock().held():
        with pytest.raises(BakeError, match="being changed by another process"), locks.lock().held():
            pytest.fail("two processes held the lock")
        assert locks.held == [lock_name(locks.cluster.name)]
    assert len(locks.notes) == 1


def test_a_second_process_waits_until_the_first_has_ended(locks):
    first = locks.lock().held()
    first.__enter__()

    def sleep(seconds: float) -> None:
        first.__exit__(None, None, None)
        locks.clock.sleep(seconds)

    with locks.lock(sleep=sleep).held():
        assert len(locks.held) == 1


def test_a_lock_without_a_sign_of_life_is_taken_over(locks):
    left = locks.lock()
    left._create()  # and its process was killed
    began = locks.clock()
    with locks.lock(timeout=2 * EXPIRY).held():
        assert locks.clock() - began >= EXPIRY
        (group,) = locks.cloud.security_groups
        assert dict(group.tags)[Tag.LAUNCH] != left.token


def test_a_group_that_was_made_without_an_answer_is_deleted(locks):
    error = TransientError("no answer")
    error.may_have_happened = True
    locks.cloud.faults = [Fault("create_security_group", error, after=True)]
    with pytest.raises(BakeError, match="no answer"), locks.lock().held():
        pytest.fail("nobody knows whether the lock is held")
    assert locks.held == []


def test_a_cluster_that_is_being_ended_cannot_be_locked(locks):
    locks.cluster = replace(locks.cluster, groups=())
    with pytest.raises(BakeError, match="is being ended"), locks.lock().held():
        pytest.fail("there is nothing to lock")
