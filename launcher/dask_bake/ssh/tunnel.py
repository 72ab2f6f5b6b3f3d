"""Ports of this machine that are the head's: an ssh, started when it can work, and again when it ends."""

import socket
import tempfile
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import IO, TYPE_CHECKING, Self

from dask_bake.errors import BakeError
from dask_bake.ssh.command import Forward, Host, tunnel_command
from dask_bake.system.subprocesses import die_with_parent, start, stop

if TYPE_CHECKING:
    from subprocess import Popen

PROBE_TIMEOUT = 1.0
PROXY_RESTART_INTERVAL = 1.0
"""Seconds from one start of ssh to the next, where each is a request to somebody's service."""
SSH_NOISE = (
    "kex_exchange_identification:",
    "Connection closed by",
    "Connection to UNKNOWN",
    "banner exchange:",
)
"""What ssh adds when the program that carries it has ended, and has said why."""


class Tunnel:
    """``ssh -N -L``: ``advance`` brings it a step nearer to being up and never waits long."""

    def __init__(
        self,
        host: Host,
        forwards: Sequence[Forward],
        *,
        answers: Callable[[str], bool] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.host = host
        # What is carried by another program is dialled by nobody here: ssh itself is the question.
        self._answers = answers or (assume_ssh_server if host.proxy else is_ssh_server)
        self._pause = PROXY_RESTART_INTERVAL if host.proxy else 0.0
        self._clock = clock
        self._next_start = 0.0
        self.forwards = tuple(forwards)
        self._process: Popen[str] | None = None
        self._complaints: IO[bytes] | None = None
        self._is_up = False
        self.trouble = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def advance(self) -> bool:
        """True when the ports are open; otherwise the next step was taken."""
        if self._process is not None and self._process.poll() is not None:
            self.trouble = self._last_complaint() or f"ssh ended with {self._process.returncode}"
            self.close()
        if self._process is None:
            if self._clock() < self._next_start:
                return False
            if not self._answers(self.host.address):
                self.trouble = self.trouble or f"nothing answers at {self.host.address} port 22"
                return False
            self._start()
        # ssh opens all ports or none; asking at one, until it answers, wakes nothing behind the others.
        self._is_up = self._is_up or is_open(self.forwards[0].local_port)
        return self._is_up

    def wait(
        self,
        seconds: float,
        *,
        status: str = "dask-bake status",
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Returns when the ports are open; ``status`` is the command that shows the cluster."""
        deadline = clock() + seconds
        while not self.advance():
            if clock() >= deadline:
                raise BakeError(
                    f"no SSH connection to {self.host.address} within {seconds:.0f} s: {self.trouble}",
                    hint=f"the head may still be booting, or be gone: {status} shows it",
                )
            sleep(0.1)

    def close(self) -> None:
        """Ends ssh."""
        self._is_up = False
        if self._process is not None:
            stop(self._process)
            self._process = None
        if self._complaints is not None:
            self._complaints.close()
            self._complaints = None

    def _start(self) -> None:
        self._next_start = self._clock() + self._pause
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 - close() closes it
        try:
            # Its own session: Ctrl-C is for us, and we end it. One that outlived us would be somebody
            # who is connected, and keep the cluster from ending by itself.
            self._process = start(
                die_with_parent(tunnel_command(self.host, self.forwards)), stderr=self._complaints
            )
        except FileNotFoundError as error:
            raise BakeError("there is no ssh on this machine", hint="apt install openssh-client") from error

    def _last_complaint(self) -> str:
        if self._complaints is None:
            return ""
        self._complaints.seek(0)
        lines = self._complaints.read().decode(errors="replace").split("\n")
        said = [line.strip() for line in lines if line.strip()]
        told = [line for line in said if not line.startswith(SSH_NOISE)]
        return (told or said or [""])[-1]


def assume_ssh_server(_address: str) -> bool:
    """True: whether an SSH server answers is found out by ssh."""
    return True


def is_ssh_server(address: str, port: int = 22) -> bool:
    """True when an SSH server greets."""
    try:
        with socket.create_connection((address, port), timeout=PROBE_TIMEOUT) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def is_open(port: int) -> bool:
    """True when something listens on the port of this machine."""
    with socket.socket() as probe:
        probe.settimeout(PROBE_TIMEOUT)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_port(preferred: int = 0) -> int:
    """The port, if it is free on this machine; else any that is."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise BakeError("there is no free port on this machine")
