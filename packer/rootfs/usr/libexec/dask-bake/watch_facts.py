"""Read a node's state: sessions, the scheduler, connections, instance metadata."""

import contextlib
import json
import os
import socket
from typing import Any, NamedTuple

PORT = 8785
"""The head's port where workers read whether the cluster is over."""
SCHEDULER_PORT = 8786
FOLDER = "/run/dask-bake"
STATE, EXTENSIONS, DRAINING = f"{FOLDER}/switches.json", f"{FOLDER}/extensions", f"{FOLDER}/draining"
PULSE = "/run/dask-scheduler/pulse.json"
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


def read(path: str) -> str:
    """Return the file's text, or nothing if it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def read_json(path: str) -> Any:
    """Return the file's document, or None if there is none."""
    try:
        return json.loads(read(path))
    except ValueError:
        return None


def write(path: str, text: str) -> None:
    """Replace the file in one step, so that nobody reads half of it."""
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        file.write(text)
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


def request(address: str | tuple[str, int], text: str, timeout: float = 2.0) -> tuple[int, str]:
    """Send an HTTP request to a socket's path or an address; return status (0 if no answer) and body."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    try:
        with socket.socket(family) as connection:
            connection.settimeout(timeout)
            connection.connect(address)
            connection.sendall(text.encode())
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
    except OSError:
        return 0, ""
    head, _, body = answer.decode(errors="replace").partition("\r\n\r\n")
    words = head.split(maxsplit=2)
    return (int(words[1]) if len(words) > 1 and words[1].isdecimal() else 0), body


def has_busy_kernel() -> bool:
    """Return whether JupyterLab has a notebook that computes."""
    path = f"{JUPYTER}/lab.sock"
    if not os.path.exists(path):
        return False
    headers = f"Host: localhost\r\nAuthorization: token {read(f'{JUPYTER}/token').strip()}"
    status, body = request(path, f"GET /api/kernels HTTP/1.0\r\n{headers}\r\n\r\n")
    if status != 200:
        return False
    try:
        kernels = json.loads(body)
    except ValueError:
        return False
    return any(kernel.get("execution_state") == "busy" for kernel in kernels)


def cluster_status(address: str) -> dict[str, Any] | None:
    """Return what the head's watch tells its workers, or None if it does not answer."""
    with contextlib.suppress(OSError, ValueError):
        with socket.create_connection((address, PORT), timeout=2.0) as connection:
            answer = b"".join(iter(lambda: connection.recv(4096), b""))
        return dict(json.loads(answer))
    return None


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
