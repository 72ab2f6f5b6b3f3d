"""Read a node's state: sessions, the scheduler, connections, instance metadata.

Other users write some of it, so nothing here blocks, follows their links, reads without a limit, or fails.
"""

import contextlib
import json
import math
import os
import socket
import stat
import time
from typing import Any, NamedTuple, TypeGuard

PORT = 785
"""The head's port where workers read whether the cluster is over, and what its lifetime is.

Only root can listen at a port below 1024: a task could extend the lifetime of the workers otherwise.
"""
SCHEDULER_PORT = 8786
FOLDER = "/run/dask-bake"
STATE, EXTENSIONS, DRAINING = f"{FOLDER}/switches.json", f"{FOLDER}/extensions", f"{FOLDER}/draining"
PULSE = "/run/dask-scheduler/pulse.json"
LIFETIME = "/var/lib/dask-bake/lifetime"
"""The lifetime's beginning and extensions, for the time after a reboot and for ``dask-bake-lifetime``."""
BOOT = "/proc/sys/kernel/random/boot_id"
LARGEST = 64 * 2**20
"""Bytes of the largest file that is read; ``/proc/net/tcp`` of a large head has some megabytes."""
LARGEST_FOREIGN = 2**16
"""Bytes of the largest file that another user may write, and of the largest response."""
EARLY = 10.0
"""Seconds by which a pulse may be ahead of this program's last look at the clock."""
JUPYTER = "/var/lib/dask-jupyter"
CONSOLE = "/dev/console"
METADATA = "169.254.169.254"
ESTABLISHED = "01"
FIRST_USER = 1000
"""Lower user ids are the system's; an sshd that has not yet authenticated its client runs as one of them."""


class Extensions(NamedTuple):
    """All uses of ``extend``: how many, their seconds in total, and until when nothing else ends the node."""

    times: int
    seconds: float
    until: float


class Pulse(NamedTuple):
    """The scheduler's last sign of life: when, by which process, its clients, and whether a task runs."""

    at: float
    pid: int
    clients: int
    running: bool


class Record(NamedTuple):
    """The record that outlives a reboot: the lifetime's start and its extensions.

    Times are of the wall clock. Before ``until`` only the lifetime ends the node; 0 means no extension.
    ``boot`` is the boot in which it was written.
    """

    boot: str
    began: float
    extended: float = 0.0
    until: float = 0.0


def read(path: str, *, flags: int = 0, largest: int = LARGEST) -> str:
    """Return the text of a regular file, or nothing if it is none, is too large or cannot be read."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC | flags)
        with open(file, "rb") as stream:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                return ""
            content = stream.read(largest + 1)
    except OSError:
        return ""
    return content.decode(errors="replace") if len(content) <= largest else ""


def read_foreign(path: str) -> str:
    """Return the text of a file that another user writes."""
    return read(path, flags=os.O_NOFOLLOW, largest=LARGEST_FOREIGN)


def parse(text: str | bytes) -> Any:
    """Return the JSON document, or None if it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def read_json(path: str) -> Any:
    """Return the document in a file of root's, or None if there is none."""
    return parse(read(path))


def read_pulse(now: float) -> Pulse | None:
    """Return the scheduler's pulse; None without one, or if it cannot be the scheduler's."""
    found = parse(read_foreign(PULSE))
    if not isinstance(found, dict):
        return None
    at, pid, clients = found.get("at"), found.get("pid"), found.get("clients")
    if not (_is_number(at, float) and _is_number(pid, int) and _is_number(clients, int)):
        return None
    if not (0 <= at <= now + EARLY and 0 < pid < 2**31 and 0 <= clients < 2**31):
        return None
    return Pulse(float(at), pid, clients, running=found.get("running") is True)


def _is_number(value: Any, kind: type) -> TypeGuard[Any]:
    """Return whether the value is an int, or of that kind; a bool, which is an int too, is none."""
    return type(value) in (int, kind)


def boot_id() -> str:
    """Return the id of this boot."""
    return read(BOOT).strip()


def read_record() -> Record | None:
    """Return what is known from before this start; None if nothing is."""
    try:
        boot, *times = read(LIFETIME).split()
        began, extended, until = map(float, times)
    except ValueError:
        return None
    return Record(boot, began, extended, until) if math.isfinite(began + extended + until) else None


def write_record(record: Record) -> None:
    """Replace the record, on disk when this returns; in whole seconds, as a shell reads it."""
    os.makedirs(os.path.dirname(LIFETIME), mode=0o700, exist_ok=True)
    times = (round(record.began), math.ceil(record.extended), math.ceil(record.until))
    write(LIFETIME, " ".join(map(str, (record.boot, *times))) + "\n", is_durable=True)


def write(path: str, text: str, *, is_durable: bool = False) -> None:
    """Replace the file in one step, so that nobody reads half of it."""
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        file.write(text)
        if is_durable:
            file.flush()
            os.fsync(file.fileno())
    os.replace(f"{path}.new", path)


def write_console(line: str) -> None:
    """Write a line to the instance's console, which EC2 shows, if there is one."""
    with contextlib.suppress(OSError), open(CONSOLE, "w", encoding="utf-8") as console:
        console.write(f"\r\n{line}\r\n")


def extensions(text: str) -> Extensions:
    """Parse the file of extensions: a line each, with its time and its seconds."""
    found = []
    for line in text.splitlines():
        with contextlib.suppress(ValueError):  # half a line, because the disk was full
            at, seconds = map(float, line.split())
            found.append((at, seconds))
    return Extensions(
        len(found),
        sum(seconds for _, seconds in found),
        max((at + seconds for at, seconds in found), default=0.0),
    )


def is_users(status: str) -> bool:
    """Return whether a process belongs to a user and not to the system, from its ``/proc/…/status``."""
    lines = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    return int(lines.get("Uid", "0").split()[0]) >= FIRST_USER


def has_session() -> bool:
    """Return whether somebody is logged in by SSH, tunnels included: then an sshd runs as that user."""
    processes = (f"/proc/{name}" for name in os.listdir("/proc") if name.isdecimal())
    found = (one for one in processes if read(f"{one}/comm").startswith("sshd"))
    return any(is_users(read(f"{one}/status")) for one in found)


def is_connected(table: str, address: str, port: int) -> bool:
    """Return whether ``/proc/net/tcp`` has an established connection to that port of that address."""
    wanted = f"{socket.inet_aton(address)[::-1].hex().upper()}:{port:04X}"
    lines = (line.split() for line in table.splitlines() if wanted in line)
    return any(words[2:4] == [wanted, ESTABLISHED] for words in lines)


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has used."""
    words = read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK") if words else 0.0


def receive(connection: socket.socket, deadline: float) -> bytes:
    """Return everything that the other side sends.

    Raises:
        OSError: if it has not finished at the deadline, or sends too much.
    """
    answer = bytearray()
    while (left := deadline - time.monotonic()) > 0:
        connection.settimeout(left)
        if not (part := connection.recv(65536)):
            return bytes(answer)
        answer += part
        if len(answer) > LARGEST_FOREIGN:
            raise OSError("the response is too large")
    raise TimeoutError


def request(address: str | tuple[str, int], text: str, timeout: float = 2.0) -> tuple[int, str]:
    """Send an HTTP request to a socket's path or an address; return status (0 if no answer) and body."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    deadline = time.monotonic() + timeout
    try:
        with socket.socket(family) as connection:
            connection.settimeout(timeout)
            connection.connect(address)
            connection.sendall(text.encode())
            answer = receive(connection, deadline)
    except OSError:
        return 0, ""
    head, _, body = answer.decode(errors="replace").partition("\r\n\r\n")
    words = head.split(maxsplit=2)
    is_status = len(words) > 1 and len(words[1]) == 3 and words[1].isdecimal()
    return (int(words[1]) if is_status else 0), body


def has_busy_kernel() -> bool:
    """Return whether JupyterLab has a notebook that computes."""
    path = f"{JUPYTER}/lab.sock"
    if not os.path.exists(path):
        return False
    headers = f"Host: localhost\r\nAuthorization: token {read_foreign(f'{JUPYTER}/token').strip()}"
    status, body = request(path, f"GET /api/kernels HTTP/1.0\r\n{headers}\r\n\r\n")
    if status != 200:
        return False
    kernels = parse(body)
    if not isinstance(kernels, list):
        return False
    return any(isinstance(each, dict) and each.get("execution_state") == "busy" for each in kernels)


def cluster_status(address: str, timeout: float = 2.0) -> dict[str, Any] | None:
    """Return what the head's watch tells its workers, or None if it does not answer."""
    deadline = time.monotonic() + timeout
    try:
        with socket.create_connection((address, PORT), timeout=timeout) as connection:
            found = parse(receive(connection, deadline))
    except OSError:
        return None
    if not (isinstance(found, dict) and isinstance(found.get("over"), str)):
        return None
    status: dict[str, Any] = {"over": "".join(filter(str.isprintable, found["over"]))[:500]}
    if _is_number(extended := found.get("extended"), float) and 0 < extended < 2**31:
        status["extended"] = float(extended)
    return status


class Metadata:
    """Client of the instance metadata service, version 2."""

    def __init__(self) -> None:
        self._token = ""

    def get(self, path: str) -> str | None:
        """Return the value; an empty one if there is none (404), None if the service does not answer."""
        for _ in range(2):
            if not self._token:
                headers = "X-aws-ec2-metadata-token-ttl-seconds: 21600\r\nContent-Length: 0"
                status, body = self._request("PUT", "api/token", headers)
                if status != 200:
                    return None
                self._token = body.strip()
            headers = f"X-aws-ec2-metadata-token: {self._token}"
            status, body = self._request("GET", f"meta-data/{path}", headers)
            if status != 401:
                return body.strip() if status == 200 else "" if status == 404 else None
            self._token = ""  # it has expired
        return None

    def _request(self, method: str, path: str, headers: str) -> tuple[int, str]:
        text = f"{method} /latest/{path} HTTP/1.0\r\nHost: {METADATA}\r\n{headers}\r\n\r\n"
        return request((METADATA, 80), text)
