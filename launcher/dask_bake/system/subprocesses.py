"""Run other programs: to the end within a time limit, or in the background until they are stopped."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, TypeAlias

from dask_bake.errors import BakeError

RUN_TIMEOUT = 600.0
"""Seconds for a program that normally ends at once."""
STOP_TIMEOUT = 5.0
"""Seconds between SIGTERM and SIGKILL."""
KILL_TIMEOUT = 1.0
"""Seconds for the kernel and init to remove a killed process group."""
OUTPUT_LIMIT = 64_000_000
"""Bytes of a program's output that are read; the program may be another machine's."""
TIMED_OUT = 124
"""The exit code of a program that exceeded its time limit, as of timeout(1)."""

Stream: TypeAlias = "int | IO[bytes] | IO[str]"
"""A file, a file descriptor, or one of subprocess's constants."""


def run(
    command: Sequence[str], *, text: str = "", seconds: float = RUN_TIMEOUT, new_session: bool = True
) -> str:
    """Run a command that must succeed, with ``text`` as its input, and return its output.

    Raises:
        BakeError: when it is not installed, fails (with its last line), or exceeds the time limit.
    """
    name = f"`{' '.join(command[:3])}`"
    try:
        done = run_with_timeout(command, seconds, text=text, new_session=new_session)
    except FileNotFoundError:
        raise BakeError(
            f"the program {command[0]} is not installed",
            hint="dask-bake local doctor lists the missing Debian packages",
        ) from None
    if done.returncode == TIMED_OUT:
        raise BakeError(
            f"{name} did not end within {seconds:.0f} s",
            hint="dask-bake local doctor lists what is left over",
        )
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["it printed nothing"]
        raise BakeError(f"{name} failed: {lines[-1]}")
    return done.stdout


def attempt(command: Sequence[str]) -> None:
    """Run a command that may fail, because its aim may be reached already."""
    run_with_timeout(command, RUN_TIMEOUT)


def run_with_timeout(
    command: Sequence[str], seconds: float, *, text: str = "", new_session: bool = True
) -> "subprocess.CompletedProcess[str]":
    """Run a non-interactive command with a time limit; do not wait for its background children.

    A command that exceeds the limit is stopped, and its exit code is ``TIMED_OUT``. Only in the caller's
    session does sudo find the password that was typed there.

    Raises:
        FileNotFoundError: when there is no such program.
    """
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        given.write(text.encode())
        given.seek(0)
        process = start(command, stdin=given, stdout=out, stderr=err, new_session=new_session)
        try:
            code, note = process.wait(seconds), ""
        except subprocess.TimeoutExpired:
            code, note = TIMED_OUT, f"no answer within {seconds:.0f} s"
        finally:
            stop(process)
        return subprocess.CompletedProcess(command, code, _content(out), _content(err) + note)


def start(
    command: Sequence[str],
    *,
    stdin: Stream = subprocess.DEVNULL,
    stdout: Stream = subprocess.DEVNULL,
    stderr: Stream = subprocess.DEVNULL,
    environ: Mapping[str, str] | None = None,
    folder: Path | None = None,
    new_session: bool = True,
) -> "subprocess.Popen[str]":
    """Start a program in the background; whoever starts it stops it.

    In a session of its own it gets no Ctrl-C of the terminal, and ``stop`` reaches its children.

    Raises:
        FileNotFoundError: when there is no such program.
    """
    return subprocess.Popen(
        command,
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        text=True,
        errors="replace",
        env=environ,
        cwd=folder,
        start_new_session=new_session,
    )


def die_with_parent(command: Sequence[str]) -> list[str]:
    """Return the command so that it ends when this process does, even by SIGKILL, where setpriv exists.

    For Linux the parent is the thread that starts it.
    """
    wrapper = shutil.which("setpriv") if shutil.which(command[0]) else None
    return [*((wrapper, "--pdeathsig", "TERM") if wrapper else ()), *command]


def with_limited_output(command: Sequence[str], limit: int) -> list[str]:
    """Return the command so that it is killed at ``limit`` bytes of output, where prlimit exists.

    Output to a file counts, as ``run_with_timeout`` makes one.
    """
    wrapper = shutil.which("prlimit") if shutil.which(command[0]) else None
    return [*((wrapper, f"--fsize={limit}") if wrapper else ()), *command]


def stop(process: "subprocess.Popen[str]", seconds: float = STOP_TIMEOUT) -> None:
    """End a process, and its children where it leads a session; return when they are gone.

    After ``seconds`` it is killed, and so are children that outlive it. A process of another user, as by
    sudo, is left to end by itself.
    """
    if process.poll() is not None:
        return
    try:
        _signal(process, signal.SIGTERM)
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        _signal(process, signal.SIGKILL)
        process.wait()
    except PermissionError:
        return
    if not _group_ends(process.pid):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        _group_ends(process.pid)


def _signal(process: "subprocess.Popen[str]", number: int) -> None:
    with suppress(ProcessLookupError):
        if os.getpgid(process.pid) == process.pid:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)


def _group_ends(group: int) -> bool:
    """Wait until no process of a group is left, zombies included; return whether that has happened."""
    deadline = time.monotonic() + KILL_TIMEOUT
    try:
        while time.monotonic() < deadline:
            os.killpg(group, 0)
            time.sleep(0.01)
    except (ProcessLookupError, PermissionError):
        return True
    return False


def _content(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read(OUTPUT_LIMIT).decode(errors="replace")
