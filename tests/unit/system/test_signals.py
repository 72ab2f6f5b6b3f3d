"""Signals end a command three times at most, and a stream that nobody reads ends nothing."""

import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dask_bake.system.signals import MOST, Interrupts, outlive_terminal
from dask_bake.system.streams import Lossy

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture
def interrupts():
    before = {number: signal.signal(number, signal.SIG_DFL) for number in NUMBERS}
    yield Interrupts()
    for number, handler in before.items():
        signal.signal(number, handler)


def come(*numbers: int) -> int:
    """How many of the signals were heeded."""
    heeded = 0
    for number in numbers:
        try:
            os.kill(os.getpid(), number)
        except KeyboardInterrupt:
            heeded += 1
    return heeded


def test_three_signals_are_heeded_and_then_what_is_left_is_said_in_peace(interrupts):
    interrupts.listen()

    assert come(signal.SIGINT, signal.SIGTERM, *[signal.SIGINT] * 9) == MOST == 3


def test_a_terminal_that_is_closed_is_heeded_once_however_often_it_says_so(interrupts):
    interrupts.listen()

    assert come(signal.SIGHUP, signal.SIGHUP, signal.SIGHUP) == 1
    assert come(signal.SIGTERM) == 1


def test_what_is_ignored_already_stays_ignored(interrupts):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    interrupts.listen()

    assert come(signal.SIGHUP) == 0


def test_what_outlives_its_terminal_is_still_ended_by_others(interrupts):
    interrupts.listen()
    outlive_terminal()

    assert (come(signal.SIGHUP), come(signal.SIGINT)) == (0, 1)


def test_who_has_not_listened_is_left_as_he_is(interrupts):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

    outlive_terminal()

    assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL


def test_at_the_end_nothing_is_heeded(interrupts):
    interrupts.listen()
    interrupts.end()

    assert come(*NUMBERS) == 0


def test_what_nobody_reads_is_lost_and_the_writer_goes_on():
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream:
        lossy = Lossy(stream)
        lossy.write("one\n")
        lossy.flush()
        assert os.read(reading, 9) == b"one\n"
        os.close(reading)
        for _ in range(3):
            lossy.write("two\n")
            lossy.flush()

        assert Path(f"/proc/self/fd/{writing}").readlink() == Path(os.devnull)


def test_what_is_read_is_written_as_it_is():
    stream = io.StringIO()
    lossy = Lossy(stream)

    assert (lossy.write("one\n"), stream.getvalue(), lossy.isatty()) == (4, "one\n", False)


@pytest.mark.parametrize("stderr", ["2>/dev/full", "2>&-"])
def test_an_error_that_cannot_be_said_still_has_its_exit_code(stderr):
    command = f"exec {sys.executable} -m dask_bake launch --count 1 {stderr}"

    assert subprocess.run(["sh", "-c", command], check=False).returncode == 2
