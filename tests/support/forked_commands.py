"""Run ``pretended_commands`` in processes forked from one that has done all imports, which saves seconds.

As a program it reads jobs, one JSON line each, and writes pids and exit codes into files.
"""

import json
import os
import resource
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from polling import until

Value = TypeVar("Value")
SUPPORT = Path(__file__).parent
TIMEOUT = 120


def wait_for(condition: Callable[[], Value]) -> Value:
    """Return the condition's value as soon as it is true; fail after two minutes."""
    return until(condition, timeout=TIMEOUT)


@dataclass(frozen=True)
class Process:
    """A running command; its files are ``place`` with several suffixes."""

    place: Path

    @property
    def pid(self) -> int:
        return int(wait_for(lambda: _read(self.place.with_suffix(".pid"))))

    @property
    def output(self) -> str:
        """The output so far."""
        return _read(self.place.with_suffix(".out"))

    @property
    def has_ended(self) -> bool:
        return bool(_read(self.place.with_suffix(".code")))

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill the command if it is still running."""
        if not self.has_ended:
            self.send_signal(signal.SIGKILL)
            self.wait()

    def wait(self) -> tuple[int, str]:
        """Return the exit code, or minus the signal's number, and the output."""
        return int(wait_for(lambda: _read(self.place.with_suffix(".code")))), self.output


class Forks:
    """Start commands, and kill those still running at the end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._processes: list[Process] = []
        self._parent = subprocess.Popen(
            [sys.executable, "-m", "forked_commands"], cwd=SUPPORT, stdin=subprocess.PIPE, text=True
        )

    def start(
        self,
        *arguments: str,
        environ: Mapping[str, str],
        ignored: Sequence[int] = (),
        largest_file: int | None = None,
        terminal: str | None = None,
        **files: str,
    ) -> Process:
        """Start a command; ``stdout`` and ``stderr`` are files that replace its own output.

        Args:
            ignored: signals that the command ignores from its start.
            largest_file: maximal size of its files in bytes, which simulates a full disk.
            terminal: its controlling terminal, also for standard input, output and error.
        """
        process = Process(self._folder / str(len(self._processes)))
        self._processes.append(process)
        job = {"place": str(process.place), "arguments": arguments, "environ": dict(environ)}
        job |= {"ignored": ignored, "largest_file": largest_file, "terminal": terminal, "files": files}
        assert self._parent.stdin
        self._parent.stdin.write(json.dumps(job) + "\n")
        self._parent.stdin.flush()
        return process

    def close(self) -> None:
        for process in self._processes:
            process.kill()
        assert self._parent.stdin
        self._parent.stdin.close()
        self._parent.wait(TIMEOUT)


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _write(path: Path, text: str) -> None:
    path.with_suffix(".new").write_text(text)
    path.with_suffix(".new").rename(path)


def _become(job: dict[str, Any], out: int) -> None:
    from dask_bake.cli import main as cli

    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the parent may ignore it
    for number in job["ignored"]:
        signal.signal(number, signal.SIG_IGN)
    os.environ.clear()
    os.environ.update(job["environ"])
    if job["terminal"] is not None:
        os.setsid()
        job["files"] = dict.fromkeys(("stdin", "stdout", "stderr"), job["terminal"])
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        given = {"stdin": os.devnull, **job["files"]}.get(name)
        os.dup2(out if given is None else os.open(given, os.O_RDWR), number)
    os.close(out)
    # As in a new process: the parent's streams are those of its own files, which may be seekable.
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", buffering=1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    if job["largest_file"] is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (job["largest_file"], job["largest_file"]))
    code: Any = 1
    try:
        cli.main(job["arguments"])
    except SystemExit as wait:
        code = wait.code
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)


def main() -> None:
    import pretended_commands  # noqa: F401 - the slow imports

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        if os.fork():
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        job = json.loads(line)
        place = Path(job["place"])
        read, write = os.pipe()
        child = os.fork()
        if not child:
            os.close(read)
            _become(job, write)
        os.close(write)
        _write(place.with_suffix(".pid"), str(child))
        with place.with_suffix(".out").open("wb", buffering=0) as out:
            while some := os.read(read, 65536):
                out.write(some)
        _, status = os.waitpid(child, 0)
        _write(place.with_suffix(".code"), str(os.waitstatus_to_exitcode(status)))
        os._exit(0)


if __name__ == "__main__":
    main()
