"""Port forwarding to the head by an ssh process, started when the head answers and restarted if it ends."""

import os
import re
import shutil
import socket
import stat
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Self

from dask_bake.errors import BakeError
from dask_bake.ssh.command import Forward, Host, tunnel_command
from dask_bake.system.subprocesses import die_with_parent, start, stop

if TYPE_CHECKING:
    from subprocess import Popen

COMPLAINTS_LIMIT = 65536
"""Bytes of ssh's messages that are read, from their end."""
SOCKET_FOLDER = re.compile(r"/[\w./+@=,-]{0,63}", re.ASCII)
"""Folders for sockets: a socket's path has at most 104 bytes, and ssh expands some characters."""
OF_PROCESS = re.compile(r"dask-bake-(\d{1,9})-\w+", re.ASCII)
"""The name of a process's folder for a socket."""
SCHEME = "dask-bake"
TLS_SCHEME = "dask-bake-tls"
PROBE_TIMEOUT = 1.0
PROXY_RESTART_INTERVAL = 1.0
"""Minimum seconds between starts of ssh with a proxy, as each is a request to a remote service."""
SSH_NOISE = (
    "kex_exchange_identification:",
    "Connection closed by",
    "Connection to UNKNOWN",
    "banner exchange:",
)
"""Messages that ssh adds after the proxy command has ended with a message of its own."""
SSH_REFUSAL = re.compile(r"Host key verification failed\.|\S+: Permission denied \(.*\)\.")
"""Messages by which ssh ends the connection; the proxy command may then complain that its pipe is broken."""


class Tunnel:
    """An ``ssh -N -L`` process; ``advance`` takes the next step to open it and never blocks for long."""

    def __init__(
        self,
        host: Host,
        forwards: Sequence[Forward],
        *,
        answers: Callable[[str], bool] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.host = host
        # Behind a proxy the address cannot be probed from here: ssh itself is the probe.
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
        """Return whether the ports are open; if not, take the next step to open them."""
        if self._process is not None and self._process.poll() is not None:
            self.trouble = self._last_complaint() or f"ssh ended with {self._process.returncode}"
            self._stop()
        if self._process is None:
            if self._clock() < self._next_start:
                return False
            if not self._answers(self.host.address):
                self.trouble = self.trouble or f"nothing answers at {self.host.address} port 22"
                return False
            self._start()
        # ssh forwards in order, all or none, so probing the last is enough (and does not start JupyterLab's
        # socket). A port may be another user's; a private socket is ssh's.
        self._is_up = self._is_up or is_open(self.forwards[-1])
        if self._is_up:
            self.trouble = ""  # a complaint of the time before is not why anything fails now
        return self._is_up

    def wait(
        self,
        seconds: float,
        *,
        status: str = "dask-bake status",
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Wait until the ports are open; ``status`` is the command that the error suggests.

        Raises:
            BakeError: if they are not open in time.
        """
        deadline = clock() + seconds
        while not self.advance():
            if clock() >= deadline:
                raise BakeError(
                    f"no SSH connection to {self.host.address} within {seconds:.0f} s: {self.trouble}",
                    hint=f"the head may still be booting, or be gone: {status} shows it",
                )
            sleep(0.1)

    def close(self) -> None:
        """Stop ssh, and remove the private sockets."""
        self._stop()
        for forward in self.forwards:
            if isinstance(forward.local, Path):
                shutil.rmtree(forward.local.parent, ignore_errors=True)

    def _stop(self) -> None:
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
            # In its own session, ssh gets no Ctrl-C; this process stops it. If ssh outlived this process, it
            # would count as a connected user and delay the cluster's idle time-out.
            self._process = start(
                die_with_parent(tunnel_command(self.host, self.forwards)), stderr=self._complaints
            )
        except FileNotFoundError as error:
            raise BakeError("there is no ssh on this machine", hint="apt install openssh-client") from error

    def _last_complaint(self) -> str:
        if self._complaints is None:
            return ""
        self._complaints.seek(max(0, self._complaints.seek(0, os.SEEK_END) - COMPLAINTS_LIMIT))
        lines = self._complaints.read().decode(errors="replace").split("\n")
        complaints = [line.strip() for line in lines if line.strip()]
        refusals = [line for line in complaints if SSH_REFUSAL.fullmatch(line)]
        causes = [line for line in complaints if not line.startswith(SSH_NOISE)]
        return (refusals or causes or complaints or [""])[-1]


def assume_ssh_server(_address: str) -> bool:
    """Return true, because only ssh itself can find out."""
    return True


def is_ssh_server(address: str, port: int = 22) -> bool:
    """Return whether an SSH server sends its greeting."""
    try:
        with socket.create_connection((address, port), timeout=PROBE_TIMEOUT) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def connect_to(forward: Forward, timeout: float) -> socket.socket:
    """Return a connection to the forwarded port, through this machine's end of the tunnel."""
    if isinstance(forward.local, int):
        return socket.create_connection(("127.0.0.1", forward.local), timeout=timeout)
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.settimeout(timeout)
        connection.connect(str(forward.local))
    except BaseException:
        connection.close()
        raise
    return connection


def is_open(forward: Forward) -> bool:
    """Return whether this machine's end of the tunnel accepts connections."""
    try:
        connect_to(forward, PROBE_TIMEOUT).close()
    except OSError:
        return False
    return True


def dask_address(path: Path, *, tls: bool) -> str:
    """Return Dask's address of a scheduler behind a Unix socket; ``dask_comm`` connects to it."""
    return f"{TLS_SCHEME if tls else SCHEME}://{path}"


def is_private(status: os.stat_result) -> bool:
    """Return whether no other user but root can rename what this user makes in the folder of that status."""
    is_shared = bool(status.st_mode & (stat.S_IWGRP | stat.S_IWOTH))
    is_sticky = bool(status.st_mode & stat.S_ISVTX)  # its owner can rename all the same
    return status.st_uid in (0, os.geteuid()) and (is_sticky or not is_shared)


def _remove_stale(base: Path) -> None:
    """Remove the sockets of this user's processes that were killed and could not remove them."""
    for folder in base.glob("dask-bake-*"):
        with suppress(OSError):  # its process may end meanwhile, and remove it
            _remove_if_stale(folder)


def _remove_if_stale(folder: Path) -> None:
    maker = OF_PROCESS.fullmatch(folder.name)
    status = folder.lstat()
    if not maker or not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        return
    # In a container that shares the folder, processes have other numbers.
    if not _lives(int(maker[1])) and not any(is_open(Forward(path, 0)) for path in folder.iterdir()):
        shutil.rmtree(folder, ignore_errors=True)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def private_socket(name: int | str, environ: Mapping[str, str] = os.environ) -> Path:
    """Return a path for a Unix socket in a new folder that only this user can enter; ``Tunnel`` removes it.

    The keystore's folder would not do: its path may be too long, or on a file system without sockets.
    """
    bases = [environ.get("XDG_RUNTIME_DIR", ""), tempfile.gettempdir(), "/tmp"]  # noqa: S108 - mkdtemp's
    for base in bases:
        with suppress(OSError):
            if SOCKET_FOLDER.fullmatch(base) and is_private(Path(base).stat()):
                _remove_stale(Path(base))
                return Path(tempfile.mkdtemp(prefix=f"dask-bake-{os.getpid()}-", dir=base)) / str(name)
    raise BakeError(
        "there is no folder for the sockets of an SSH connection",
        hint="set XDG_RUNTIME_DIR or TMPDIR to a folder with a short name that you can write to",
    )
