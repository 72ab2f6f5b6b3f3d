"""Programs that are ended when they take too long, with all that they have started."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress

ENDING = 5.0
"""Seconds for a program to end by itself once it is told to."""
TOO_LATE = 124
"""The exit code of one that was ended, as of timeout(1)."""


def run_bounded(command: Sequence[str], seconds: float) -> "subprocess.CompletedProcess[str]":
    """What became of a command that asks nothing; a child of its that goes on holds nobody up.

    Raises:
        FileNotFoundError: when there is no such program.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        # Its own session: all of it can be ended together, and Ctrl-C is for us.
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True
        )
        try:
            code = process.wait(seconds)
            late = ""
        except subprocess.TimeoutExpired:
            code, late = TOO_LATE, f"no answer within {seconds:.0f} s"
        finally:
            end(process)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
    return subprocess.CompletedProcess(command, code, texts[0], texts[1] + late)


def ending_with_us(command: Sequence[str]) -> list[str]:
    """The command so that it ends when this process does, even by SIGKILL, where the system has a way.

    To Linux the thread that starts it is the process.
    """
    wrapper = shutil.which("setpriv") if shutil.which(command[0]) else None
    return [*((wrapper, "--pdeathsig", "TERM") if wrapper else ()), *command]


def end(process: "subprocess.Popen[bytes]", seconds: float = ENDING) -> None:
    """Ends a process that leads a session, and all in it; one that does not hear is killed."""
    if process.poll() is not None:
        return
    _tell(process, signal.SIGTERM)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        _tell(process, signal.SIGKILL)
        process.wait()


def _tell(process: "subprocess.Popen[bytes]", number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
