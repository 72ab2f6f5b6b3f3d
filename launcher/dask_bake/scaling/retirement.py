"""The scheduler's part in ending nodes: their loads, and what they have left to lose."""

import json
import os
import select
import shlex
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from dask_bake.errors import BakeError
from dask_bake.hints import cluster_command
from dask_bake.scaling import head_program
from dask_bake.scaling.plan import NodeLoad
from dask_bake.ssh.command import Host, ssh_command
from dask_bake.system.subprocesses import die_with_parent, start, stop
from dask_bake.system.text import printable

PYTHON = "/opt/dask/bin/python"
"""The Python of the image's environment."""
BOOT = "import json, sys; exec(compile(json.loads(sys.stdin.readline()), 'dask-bake', 'exec'))"
FIRST_ANSWER, ANSWER = 60.0, 30.0
"""Seconds for an answer; before the first one, ssh connects and Dask is imported."""
LINE_LIMIT = 4_000_000
"""Bytes of an answer; a node takes about a hundred."""
MOST_NODES, LONGEST_TEXT, LONGEST_WORK = 10_000, 300, 1e12


@dataclass(frozen=True)
class Remaining:
    """Tasks and results still on the nodes that leave; ``failed`` is the reason why they stay there."""

    left: Mapping[str, int]
    failed: str = ""

    @property
    def is_empty(self) -> bool:
        """Return whether they can end without a loss."""
        return not self.failed and not any(self.left.values())


class Retirement(Protocol):
    """The scheduler, as it is asked when nodes are ended; nodes are named by their private addresses."""

    def loads(self) -> Mapping[str, NodeLoad]:
        """Return the load of each node with a worker."""

    def drain(self, hosts: Sequence[str]) -> None:
        """Begin to empty the nodes; after ``forget``, or without a look for a minute, they work again."""

    def look(self) -> Remaining:
        """Return what the nodes have to lose."""

    def end(self) -> Remaining:
        """Keep the nodes empty, as they are about to be ended."""

    def count(self, hosts: Sequence[str]) -> int:
        """Return how many workers of the nodes the scheduler knows."""

    def forget(self, hosts: Sequence[str]) -> None:
        """Remove what is left of nodes that are gone, and let the others work again."""

    def close(self) -> None:
        """End the connection."""


class SshRetirement:
    """The program on the head, by SSH; it is started by the first request."""

    def __init__(self, host: Host, cluster: str) -> None:
        self._host = host
        self._cluster = cluster
        self._process: subprocess.Popen[str] | None = None
        self._complaints: IO[bytes] | None = None
        self._received = b""

    def loads(self) -> Mapping[str, NodeLoad]:
        """Return the load of each node with a worker."""
        return parse_loads(self._ask("loads"))

    def drain(self, hosts: Sequence[str]) -> None:
        """Begin to empty the nodes."""
        self._ask("drain", hosts=list(hosts))

    def look(self) -> Remaining:
        """Return what the nodes have to lose."""
        return parse_remaining(self._ask("look"))

    def end(self) -> Remaining:
        """Keep the nodes empty, as they are about to be ended."""
        return parse_remaining(self._ask("end"))

    def count(self, hosts: Sequence[str]) -> int:
        """Return how many workers of the nodes the scheduler knows."""
        return _natural(self._ask("count", hosts=list(hosts)).get("workers"))

    def forget(self, hosts: Sequence[str]) -> None:
        """Remove what is left of nodes that are gone, and let the others work again."""
        self._ask("forget", hosts=list(hosts))

    def close(self) -> None:
        """End the program."""
        if self._process is not None:
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    try:
                        stream.close()
                    except OSError:  # it has ended
                        continue
            stop(self._process)
            self._process = None
        if self._complaints is not None:
            self._complaints.close()
            self._complaints = None

    def _ask(self, do: str, **arguments: Any) -> Mapping[str, Any]:
        seconds = ANSWER
        if self._process is None:
            self._start()
            self._send(Path(head_program.__file__).read_text(encoding="utf-8"))
            seconds = FIRST_ANSWER
        self._send({"do": do, **arguments})
        answer = self._receive(seconds)
        if error := answer.get("error"):
            raise self._failure(printable(str(error), keep="")[:LONGEST_TEXT])
        return answer

    def _start(self) -> None:
        words = shlex.join([PYTHON, "-c", BOOT])
        command = ssh_command(self._host, options=("-T",), words=(words,))
        self._complaints, self._received = tempfile.TemporaryFile(), b""  # noqa: SIM115 - close() closes it
        pipe = subprocess.PIPE
        try:
            self._process = start(die_with_parent(command), stdin=pipe, stdout=pipe, stderr=self._complaints)
        except FileNotFoundError as error:
            raise BakeError("there is no ssh on this machine", hint="apt install openssh-client") from error

    def _send(self, message: object) -> None:
        assert self._process is not None  # noqa: S101 - _ask has started it
        assert self._process.stdin is not None  # noqa: S101 - a pipe
        try:
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
        except OSError as error:
            raise self._failure(self._last_complaint()) from error

    def _receive(self, seconds: float) -> Mapping[str, Any]:
        assert self._process is not None  # noqa: S101 - _ask has started it
        assert self._process.stdout is not None  # noqa: S101 - a pipe
        deadline, descriptor = time.monotonic() + seconds, self._process.stdout.fileno()
        while b"\n" not in self._received:
            ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise self._failure(f"no answer within {seconds:.0f} s")
            part = os.read(descriptor, 65536)
            if not part:
                raise self._failure(self._last_complaint())
            self._received += part
            if len(self._received) > LINE_LIMIT:
                raise self._failure("its answer is too long")
        line, _, self._received = self._received.partition(b"\n")
        try:
            answer = json.loads(line)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise self._failure("its answer cannot be read")
        return answer

    def _failure(self, why: str) -> BakeError:
        self.close()
        return BakeError(
            f"the scheduler of cluster {self._cluster} could not be asked: {why}",
            hint=f"{cluster_command('status', self._cluster)} shows whether it answers",
        )

    def _last_complaint(self) -> str:
        if self._complaints is None:
            return "the connection has ended"
        self._complaints.seek(max(0, self._complaints.seek(0, os.SEEK_END) - 65536))
        lines = self._complaints.read().decode(errors="replace").split("\n")
        said = [printable(line.strip(), keep="") for line in lines if line.strip()]
        return (said or ["the connection has ended"])[-1][:LONGEST_TEXT]


def parse_loads(answer: Mapping[str, Any]) -> Mapping[str, NodeLoad]:
    """Return the loads in an answer; a task can answer in the scheduler's place."""
    found = answer.get("loads")
    if not isinstance(found, dict) or len(found) > MOST_NODES:
        return {}
    return {
        str(host): NodeLoad(
            workers=_natural(load.get("workers")),
            tasks=_natural(load.get("tasks")),
            occupancy=_seconds(load.get("occupancy")),
            nbytes=_natural(load.get("nbytes")),
            holds=printable(str(load.get("holds") or ""), keep="")[:LONGEST_TEXT],
        )
        for host, load in found.items()
        if isinstance(load, dict)
    }


def parse_remaining(answer: Mapping[str, Any]) -> Remaining:
    """Return what nodes have to lose, by an answer."""
    left, failed = answer.get("left"), printable(str(answer.get("failed") or ""), keep="")[:LONGEST_TEXT]
    if not isinstance(left, dict):
        return Remaining({}, failed or "the scheduler's answer cannot be read")
    return Remaining({str(host): _natural(number) for host, number in left.items()}, failed)


def _seconds(value: object) -> float:
    return float(value) if isinstance(value, int | float) and 0 <= value < LONGEST_WORK else 0.0


def _natural(value: object) -> int:
    return value if type(value) is int and value >= 0 else 0
