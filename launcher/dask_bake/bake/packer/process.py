"""Run Packer through packer-py: records as they come, and an end that is awaited."""

import os
import queue
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil  # type: ignore[import-untyped]
from packerpy import PackerExecutable

KILL_INTERVAL = 0.05
"""Seconds from one look at what is to be killed to the next."""


class PackerProcess:
    """A running Packer, awaited in a thread of its own so that Ctrl-C cannot abort it."""

    def __init__(self, executable: str, command: str, template: Path, options: Mapping[str, str]) -> None:
        self.code = -1
        self._executable = executable
        self._records: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        reading, self._writing = os.pipe()
        self._reader = threading.Thread(target=self._read, args=(reading,), name="packer-output")
        self._waiter = threading.Thread(target=self._wait, args=(command, template, options), name="packer")
        self._reader.start()
        self._waiter.start()

    def records(self) -> Iterator[str]:
        """Yield each record as it comes, until Packer has ended."""
        while (record := self._records.get()) is not None:
            yield record
        self._join()

    def next(self, *, timeout: float) -> str | None:
        """Return the next record, "" if there is none yet, or ``None`` when Packer has ended."""
        try:
            record = self._records.get(timeout=timeout)
        except queue.Empty:
            return ""
        if record is None:
            self._join()
        return record

    def terminate(self) -> None:
        """Have Packer clean up and end: it forwards SIGTERM to its child process, but not SIGINT."""
        for process in self._processes():
            with suppress(psutil.Error):
                process.terminate()

    def kill(self) -> None:
        """Kill Packer with all that it has started, and return when they and both threads have ended."""
        while self._waiter.is_alive() or self._reader.is_alive():
            for process in self._processes():  # it may only be about to start
                with suppress(psutil.Error):
                    for each in (*process.children(recursive=True), process):
                        each.kill()
            self._waiter.join(KILL_INTERVAL)
            self._reader.join(KILL_INTERVAL)

    def _processes(self) -> Iterator[psutil.Process]:
        for process in psutil.Process().children():
            with suppress(psutil.Error):
                if self._executable in process.cmdline():
                    yield process

    def _join(self) -> None:
        self._waiter.join()
        self._reader.join()

    def _read(self, reading: int) -> None:
        with os.fdopen(reading, encoding="utf-8", errors="replace", newline="\n") as lines:
            for line in lines:
                self._records.put(line)
        self._records.put(None)

    def _wait(self, command: str, template: Path, options: Mapping[str, str]) -> None:
        try:
            config = {"stdout": self._writing, "stderr": self._writing}
            packer = PackerExecutable(self._executable, config=config)
            self.code, _, _ = packer.execute_cmd(command, str(template), **options)
        finally:
            os.close(self._writing)


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables of this process, as packer-py cannot set them for Packer alone."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def version_records(executable: str) -> list[str]:
    """Return the output of ``packer version``."""
    _, output, _ = PackerExecutable(executable).version()
    return output.decode(errors="replace").splitlines() if output else []


def plugin_records(executable: str) -> list[str]:
    """Return the output of ``packer plugins installed``: the paths of the plugins."""
    _, output, _ = PackerExecutable(executable).execute_cmd("plugins", "installed")
    return output.decode(errors="replace").splitlines() if output else []
