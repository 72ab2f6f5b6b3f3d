"""Concurrent look-ups: results in order, errors of the first one, and no wait for what is not needed."""

import threading

import pytest

from dask_bake.errors import BakeError
from dask_bake.system.concurrency import BackgroundCall, gather, gather_bounded


def failing(error: BaseException):
    def call():
        raise error

    return call


def test_calls_run_at_the_same_time_and_their_results_keep_the_order():
    meeting = threading.Barrier(3, timeout=60)

    assert gather(*(lambda number=number: (meeting.wait(), number)[1] for number in range(3))) == (0, 1, 2)


def test_the_error_of_the_first_failed_call_is_raised():
    with pytest.raises(BakeError, match="first"):
        gather(lambda: 1, failing(BakeError("first")), failing(BakeError("second")))


def test_an_error_is_raised_where_the_result_is_wanted():
    call = BackgroundCall(failing(BakeError("denied")))

    with pytest.raises(BakeError, match="denied"):
        call.result()
    assert call.result_within(0.0) is None


def test_a_result_that_is_late_is_left_out():
    release = threading.Event()
    call = BackgroundCall(lambda: release.wait(60))

    assert call.result_within(0.0) is None
    release.set()
    assert call.result() is True


def test_a_defect_is_raised_even_where_the_result_is_optional():
    call = BackgroundCall(failing(ZeroDivisionError()))

    with pytest.raises(ZeroDivisionError):
        call.result_within(60)


def test_no_more_calls_run_at_a_time_than_allowed_and_results_are_in_order():
    lock, running, most = threading.Lock(), [0], [0]

    def call(number: int):
        def run() -> int:
            with lock:
                running[0] += 1
                most[0] = max(most[0], running[0])
            with lock:
                running[0] -= 1
            return number

        return run

    assert gather_bounded([call(number) for number in range(20)], 3) == tuple(range(20))
    assert most[0] <= 3
    assert gather_bounded([], 3) == ()


def test_an_error_of_a_bounded_call_is_raised():
    with pytest.raises(BakeError, match="no"):
        gather_bounded([failing(BakeError("no")), lambda: 1], 1)
