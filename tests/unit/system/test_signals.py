"""Signals interrupt a command three times at most."""

import os
import signal

import pytest

from dask_bake.system.signals import MAX_INTERRUPTS, Interrupts, ignore_hangup

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture
def interrupts():
    before = {number: signal.signal(number, signal.SIG_DFL) for number in NUMBERS}
    yield Interrupts()
    for number, handler in before.items():
        signal.signal(number, handler)


def send(*numbers: int) -> int:
    """Return how many of the signals raised KeyboardInterrupt."""
    raised = 0
    for number in numbers:
        try:
            os.kill(os.getpid(), number)
        except KeyboardInterrupt:
            raised += 1
    return raised


def test_three_signals_interrupt_and_later_ones_are_ignored(interrupts):
    interrupts.listen()

    assert send(signal.SIGINT, signal.SIGTERM, *[signal.SIGINT] * 9) == MAX_INTERRUPTS == 3


def test_a_terminal_that_closes_interrupts_once_however_often_it_sends_sighup(interrupts):
    interrupts.listen()

    assert send(signal.SIGHUP, signal.SIGHUP, signal.SIGHUP) == 1
    assert send(signal.SIGTERM) == 1


def test_a_signal_that_is_ignored_already_stays_ignored(interrupts):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    interrupts.listen()

    assert send(signal.SIGHUP) == 0


def test_after_ignore_hangup_other_signals_still_interrupt(interrupts):
    interrupts.listen()
    ignore_hangup()

    assert (send(signal.SIGHUP), send(signal.SIGINT)) == (0, 1)


def test_ignore_hangup_changes_nothing_without_a_handler(interrupts):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

    ignore_hangup()

    assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL


def test_after_the_end_all_signals_are_ignored(interrupts):
    interrupts.listen()
    interrupts.end()

    assert send(*NUMBERS) == 0
