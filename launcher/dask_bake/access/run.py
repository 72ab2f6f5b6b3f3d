"""Commands on several nodes side by side, with their lines as they come."""

import queue
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import IO

from dask_bake.access.remote import CONNECTED
from dask_bake.errors import BakeError, CommandInterruptedError
from dask_bake.ssh.command import Host, ssh_command
from dask_bake.system.subprocesses import start, stop

MOST_CONNECTING = 8
"""Connections that are made at a time: by default sshd refuses some beyond ten."""
MOST_RUNNING = 64
LONGEST_LINE = 16_384
"""Characters after which a line is handed over in parts."""
MOST_WAITING = 1_000
"""Lines that wait to be shown; beyond that the nodes wait."""
END_TIMEOUT = 12.0
"""Seconds for the commands on nodes to end after an interrupt: five until SIGKILL, and the way."""
NO_CONNECTION = 255
"""The exit code of ssh without a connection."""


@dataclass(frozen=True)
class Line:
    """A line of a node's output."""

    node: int
    text: str
    is_error: bool = False


Emit = Callable[[Line], None]


@dataclass
class _Command:
    process: "subprocess.Popen[str]"
    streams: int = 2
    is_connecting: bool = True

    def close_input(self) -> None:
        """Tell the node that nobody waits for the command any more."""
        if self.process.stdin is not None:
            with suppress(OSError):
                self.process.stdin.close()


@dataclass
class Commands:
    """The same command line on several nodes.

    Args:
        lines: the remote command line of each host, by the node's number.
    """

    hosts: Mapping[int, Host]
    lines: Mapping[int, str]
    codes: dict[int, int] = field(default_factory=dict)
    _running: dict[int, _Command] = field(default_factory=dict)
    _output: "queue.Queue[Line | int]" = field(default_factory=lambda: queue.Queue(MOST_WAITING))

    def run(self, emit: Emit, *, tick: Callable[[], None] = lambda: None) -> Mapping[int, int]:
        """Run the commands and return their exit codes.

        On an interrupt, or if a line cannot be handed over, the commands on the nodes are ended first.

        Args:
            tick: called when no line waits.

        Raises:
            CommandInterruptedError: if a command may go on after an interrupt.
        """
        try:
            self._run(emit, tick)
        except BaseException as error:
            left = self._end()
            if left and isinstance(error, KeyboardInterrupt):
                numbers = ", ".join(map(str, left))
                raise CommandInterruptedError(
                    f"interrupted; the command may still run on node {numbers}",
                    hint="look there, with dask-bake ssh",
                ) from error
            raise
        return self.codes

    def _run(self, emit: Emit, tick: Callable[[], None]) -> None:
        waiting = deque(self.hosts)
        while waiting or self._running:
            connecting = sum(each.is_connecting for each in self._running.values())
            if waiting and connecting < MOST_CONNECTING and len(self._running) < MOST_RUNNING:
                self._start(waiting.popleft())
                continue
            try:
                item = self._output.get(timeout=0.1)
            except queue.Empty:
                tick()
                continue
            if (line := self._see(item)) is not None:
                emit(line)

    def _start(self, index: int) -> None:
        command = ssh_command(self.hosts[index], options=("-T",), words=(self.lines[index],))
        try:
            process = start(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        except FileNotFoundError as error:
            raise BakeError("there is no ssh on this machine", hint="apt install openssh-client") from error
        self._running[index] = _Command(process)
        for stream in (process.stdout, process.stderr):
            is_error = stream is process.stderr
            reader = partial(self._read, index, stream, is_error=is_error)
            threading.Thread(target=reader, daemon=True).start()

    def _read(self, index: int, stream: IO[str] | None, *, is_error: bool) -> None:
        """Queue the lines of a stream, and then the node's number: the stream has ended."""
        assert stream is not None  # noqa: S101 - it is a pipe
        with stream:
            while text := stream.readline(LONGEST_LINE):
                self._output.put(Line(index, text.removesuffix("\n"), is_error))
        self._output.put(index)

    def _see(self, item: Line | int) -> Line | None:
        """Note the start or the end of a command; return a line that is the command's own."""
        if isinstance(item, Line):
            command = self._running[item.node]
            if item.is_error and command.is_connecting and item.text == CONNECTED:
                command.is_connecting = False
                return None
            return item
        command = self._running[item]
        command.streams -= 1
        if not command.streams:
            command.close_input()
            code = command.process.wait()
            self.codes[item] = code if code >= 0 else NO_CONNECTION
            del self._running[item]
        return None

    def _end(self) -> list[int]:
        """End the commands on the nodes, then ssh; return the nodes on which a command may go on."""
        for command in self._running.values():
            command.close_input()
        deadline = time.monotonic() + END_TIMEOUT
        try:
            while self._running and time.monotonic() < deadline:
                try:
                    self._see(self._output.get(timeout=0.1))
                except queue.Empty:
                    continue
        finally:
            left = sorted(self._running)
            for command in self._running.values():
                stop(command.process)
        return left


def worst(codes: Mapping[int, int]) -> int:
    """Return the exit code of the whole: the highest of any node's, 0 without a node."""
    return max(codes.values(), default=0)
