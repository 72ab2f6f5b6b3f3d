"""Places on the local cloud's network to try connections from: the caller's, a stranger's, an instance's."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_cloud import NAME, until

STRANGER = "198.18.93.2"
"""An address of the block for tests of networks (RFC 2544), which no machine of anybody's has."""
HOST_SIDE = "198.18.93.1"
PING = "ping"

PROBE = r"""
import json, os, socket, struct, sys
from concurrent.futures import ThreadPoolExecutor

def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF

def ping(host, number):
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
        raw.settimeout(1)
        raw.connect((host, 0))
        head = struct.pack("!BBHHH", 8, 0, 0, os.getpid() & 0xFFFF, number)
        raw.send(head[:2] + struct.pack("!H", checksum(head)) + head[4:])
        while True:
            reply = raw.recv(2048)[20:]
            if reply[0] == 0 and reply[4:8] == head[4:8]:
                return

def answers(target):
    number, (host, port) = target
    try:
        if port == "ping":
            ping(host, number)
        else:
            socket.create_connection((host, port), timeout=1).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return True

targets = json.load(sys.stdin)
with ThreadPoolExecutor(32) as pool:
    print(json.dumps(list(pool.map(answers, enumerate(targets)))))
"""

FORGE = r"""
import socket, struct, sys
source, host, port, word = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4].encode()
datagram = struct.pack("!HHHH", 4242, port, 8 + len(word), 0) + word
addresses = socket.inet_aton(source) + socket.inet_aton(host)
packet = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(datagram), 0, 0, 64, 17, 0) + addresses + datagram
with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
    raw.sendto(packet, (host, 0))
"""

HEAR = r"""
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
    server.settimeout(20)
    server.bind(("", int(sys.argv[1])))
    print("listening", flush=True)
    while True:
        print(server.recv(64).decode(), flush=True)
"""

WHO_HAS = r"""
import socket, struct, sys
own, wanted = (socket.inet_aton(address) for address in sys.argv[1:])
name = next(name for _, name in socket.if_nameindex() if name != "lo")
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806)) as raw:
    raw.bind((name, 0))
    raw.settimeout(0.5)
    mac = raw.getsockname()[4]
    header = struct.pack("!HHHBBH", 0x0806, 1, 0x0800, 6, 4, 1)
    raw.send(b"\xff" * 6 + mac + header + mac + own + bytes(6) + wanted)
    try:
        while True:
            frame = raw.recv(64)
            if frame[20:22] == b"\0\2" and frame[28:32] == wanted:
                print(frame[22:28].hex(":"))
    except TimeoutError:
        pass
"""

Target = tuple[str, int | str]


def as_root(*words: str) -> list[str]:
    """A command that needs root."""
    return [*words] if os.geteuid() == 0 else ["sudo", "-n", *words]


@dataclass(frozen=True)
class Place:
    """Where a program's packets come from: the words before its own."""

    prefix: tuple[str, ...] = ()

    def python(self, code: str, *words: str, text: str = "") -> str:
        """What this Python printed there."""
        command = as_root(*self.prefix, sys.executable, "-c", code, *words)
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def reached(self, targets: Iterable[Target]) -> set[Target]:
        """Which of the targets answer, be it with a refusal; a ping, or a new connection to a port."""
        targets = list(targets)
        answers = json.loads(self.python(PROBE, text=json.dumps(targets)))
        return {target for target, answered in zip(targets, answers, strict=True) if answered}

    def who_has(self, address: str, *, own: str) -> set[str]:
        """The hardware addresses of all who answer when this address asks for another's."""
        return set(self.python(WHO_HAS, own, address).split())

    def send_as(self, source: str, host: str, port: int, word: str) -> None:
        """Send a datagram that says it comes from another address."""
        self.python(FORGE, source, host, str(port), word)

    @contextmanager
    def hearing(self, port: int) -> Iterator[Iterator[str]]:
        """The words that datagrams bring to a port here, while it lasts."""
        command = as_root(*self.prefix, sys.executable, "-c", HEAR, str(port))
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            words = (line.strip() for line in process.stdout)
            assert next(words) == "listening"
            try:
                yield words
            finally:
                process.terminate()


CALLER = Place()


@contextmanager
def stranger() -> Iterator[Place]:
    """A network of its own behind this machine, as another machine's would be."""
    holding = as_root("unshare", "--net", "sh", "-c", "echo $$; exec sleep infinity")
    with subprocess.Popen(holding, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        pid = process.stdout.readline().strip()
        inside = ("nsenter", "-t", pid, "-n")
        steps = (
            ("ip", "link", "add", "dbt-host", "type", "veth", "peer", "name", "dbt-far", "netns", pid),
            ("ip", "address", "add", f"{HOST_SIDE}/30", "dev", "dbt-host"),
            ("ip", "link", "set", "dbt-host", "up"),
            ("sh", "-c", "echo 1 > /proc/sys/net/ipv4/conf/dbt-host/forwarding"),
            (*inside, "ip", "address", "add", f"{STRANGER}/30", "dev", "dbt-far"),
            (*inside, "ip", "link", "set", "dbt-far", "up"),
            (*inside, "ip", "route", "add", "default", "via", HOST_SIDE),
        )
        try:
            for step in steps:
                subprocess.run(as_root(*step), check=True)
            yield Place(inside)
        finally:
            subprocess.run(as_root("ip", "link", "delete", "dbt-host"), check=False)
            subprocess.run(as_root("kill", pid), check=False)


def in_instance(instance: dict[str, Any]) -> Place:
    """An instance's own network, once it has its address."""
    nspawn = _find(f"--machine={NAME}-{instance['InstanceId']}")
    children = Path(f"/proc/{nspawn}/task/{nspawn}/children")
    found: list[tuple[str, ...]] = []

    def look() -> bool:
        for child in children.read_text().split():  # the first that nspawn starts only makes the second
            prefix = ("nsenter", "-t", child, "-n")
            if instance["PrivateIpAddress"] in _addresses(prefix):
                found.append(prefix)
        return bool(found)

    until(look, timeout=60)
    return Place(found[0])


def _addresses(prefix: tuple[str, ...]) -> str:
    command = as_root(*prefix, "ip", "-4", "address", "show")
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def _find(argument: str) -> int:
    """The process with that argument, once there is one."""
    found: list[int] = []

    def look() -> bool:
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            if words[0] == "systemd-nspawn" and argument in words:
                found.append(int(folder.name))
        return bool(found)

    until(look, timeout=30)
    return found[0]
