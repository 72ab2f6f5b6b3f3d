"""What can be seen of a node: sessions, scheduler, connections, and what the metadata service says."""

import contextlib
import json
import os
import socket
from typing import Any, NamedTuple

PORT = 8785
"""Where the head tells its workers whether the cluster is over."""
SCHEDULER_PORT = 8786
FOLDER = "/run/dask-bake"
STATE, EXTENSIONS, DRAINING = f"{FOLDER}/switches.json", f"{FOLDER}/extensions", f"{FOLDER}/draining"
PULSE = "/run/dask-scheduler/pulse.json"
JUPYTER = "/var/lib/dask-jupyter"
METADATA = "169.254.169.254"
ESTABLISHED = "01"
FIRST_USER = 1000
"""The users before are the system's own: an sshd that is still asking who comes runs as one of them."""


class Extensions(NamedTuple):
    """What was asked for by ``extend``: how often, how much in all, and until when at least."""

    times: int
    seconds: float
    until: float


def read(path: str) -> str:
    """What is in the file; nothing where there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def read_json(path: str) -> Any:
    """The file's document; None where there is none that can be read."""
    try:
        return json.loads(read(path))
    except ValueError:
        return None


def write(path: str, text: str) -> None:
    """Writes the file so that nobody reads half of it."""
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(f"{path}.new", path)


def extensions(text: str) -> Extensions:
    """What the lines of the file say: when, and by how many seconds."""
    asked = []
    for line in text.splitlines():
        with contextlib.suppress(ValueError):  # half a line, from a disk that is full
            at, seconds = map(float, line.split())
            asked.append((at, seconds))
    return Extensions(
        len(asked),
        sum(seconds for _, seconds in asked),
        max((at + seconds for at, seconds in asked), default=0.0),
    )


def is_users(status: str) -> bool:
    """Whether a process, by its ``/proc/…/status``, is a user's, and none of the system's."""
    lines = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    return int(lines.get("Uid", "0").split()[0]) >= FIRST_USER


def has_session() -> bool:
    """Whether somebody is logged in by SSH: an sshd that serves him runs as him. A tunnel counts."""
    processes = (f"/proc/{name}" for name in os.listdir("/proc") if name.isdecimal())
    found = (one for one in processes if read(f"{one}/comm").startswith("sshd"))
    return any(is_users(read(f"{one}/status")) for one in found)


def is_connected(table: str, address: str, port: int) -> bool:
    """Whether, by ``/proc/net/tcp``, there is a connection from here to that port of that address."""
    wanted = f"{socket.inet_aton(address)[::-1].hex().upper()}:{port:04X}"
    lines = (line.split() for line in table.splitlines() if wanted in line)
    return any(words[2:4] == [wanted, ESTABLISHED] for words in lines)


def cpu_seconds(pid: int) -> float:
    """How much CPU a process has used."""
    words = read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK") if words else 0.0


def ask(address: str | tuple[str, int], request: str, timeout: float = 2.0) -> tuple[int, str]:
    """Status and body of an HTTP answer, from a path or an address; status 0 where there is none."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    try:
        with socket.socket(family) as connection:
            connection.settimeout(timeout)
            connection.connect(address)
            connection.sendall(request.encode())
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
    except OSError:
        return 0, ""
    head, _, body = answer.decode(errors="replace").partition("\r\n\r\n")
    words = head.split(maxsplit=2)
    return (int(words[1]) if len(words) > 1 and words[1].isdecimal() else 0), body


def has_busy_kernel() -> bool:
    """Whether a notebook computes, as JupyterLab tells."""
    path = f"{JUPYTER}/lab.sock"
    if not os.path.exists(path):
        return False
    headers = f"Host: localhost\r\nAuthorization: token {read(f'{JUPYTER}/token').strip()}"
    status, body = ask(path, f"GET /api/kernels HTTP/1.0\r\n{headers}\r\n\r\n")
    if status != 200:
        return False
    try:
        kernels = json.loads(body)
    except ValueError:
        return False
    return any(kernel.get("execution_state") == "busy" for kernel in kernels)


def what_the_head_says(address: str) -> dict[str, Any] | None:
    """The head's own word; None where it does not answer."""
    with contextlib.suppress(OSError, ValueError):
        with socket.create_connection((address, PORT), timeout=2.0) as connection:
            said = b"".join(iter(lambda: connection.recv(4096), b""))
        return dict(json.loads(said))
    return None


class Metadata:
    """The instance metadata service, version 2."""

    def __init__(self) -> None:
        self._token = ""

    def get(self, path: str) -> str | None:
        """What stands there; empty where nothing does, None where the service does not say."""
        for _ in range(2):
            if not self._token:
                headers = "X-aws-ec2-metadata-token-ttl-seconds: 21600\r\nContent-Length: 0"
                status, body = self._ask("PUT", "api/token", headers)
                if status != 200:
                    return None
                self._token = body.strip()
            status, body = self._ask("GET", f"meta-data/{path}", f"X-aws-ec2-metadata-token: {self._token}")
            if status != 401:
                return body.strip() if status == 200 else "" if status == 404 else None
            self._token = ""  # it has run out
        return None

    def _ask(self, method: str, path: str, headers: str) -> tuple[int, str]:
        request = f"{method} /latest/{path} HTTP/1.0\r\nHost: {METADATA}\r\n{headers}\r\n\r\n"
        return ask((METADATA, 80), request)
