"""Networks from which to try connections: the caller's, a stranger's, an instance's."""

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_cloud import NAME
from polling import until
from root import as_root

STRANGER = "198.18.93.2"
"""An address of the block for network benchmarks (RFC 2544), which no machine has."""
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


@dataclass(frozen=True)
class Place:
    """A network; ``prefix`` is the command that enters it."""

    prefix: tuple[str, ...] = ()

    def python(self, code: str, *words: str, text: str = "") -> str:
        """Run Python code in this network and return its output."""
        command = as_root(*self.prefix, sys.executable, "-c", code, *words)
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def reached(self, targets: Iterable[Target]) -> set[Target]:
        """Return the targets that answer a ping or a new connection to a port; a refusal is an answer."""
        targets = list(targets)
        answers = json.loads(self.python(PROBE, text=json.dumps(targets)))
        return {target for target, answered in zip(targets, answers, strict=True) if answered}

    def who_has(self, address: str, *, own: str) -> set[str]:
        """Return the hardware addresses that answer an ARP request of ``own`` for the address."""
        return set(self.python(WHO_HAS, own, address).split())

    def send_as(self, source: str, host: str, port: int, word: str) -> None:
        """Send a datagram with a forged source address."""
        self.python(FORGE, source, host, str(port), word)

    @contextmanager
    def hearing(self, port: int) -> Iterator[Iterator[str]]:
        """Yield the texts of the datagrams that arrive at a port."""
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
    """Make a network namespace behind this machine, which looks like another machine."""
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
    """Return an instance's network, once it has its address."""
    nspawn = _find(f"--machine={NAME}-{instance['InstanceId']}")
    children = Path(f"/proc/{nspawn}/task/{nspawn}/children")

    def enter() -> tuple[str, ...]:
        for child in children.read_text().split():  # nspawn's first child only starts the second
            prefix = ("nsenter", "-t", child, "-n")
            if instance["PrivateIpAddress"] in _addresses(prefix):
                return prefix
        return ()

    return Place(until(enter, timeout=60))


def _addresses(prefix: tuple[str, ...]) -> str:
    command = as_root(*prefix, "ip", "-4", "address", "show")
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def _find(argument: str) -> int:
    """Return the nspawn process with that argument, once there is one."""

    def find() -> int:
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            if words[0] == "systemd-nspawn" and argument in words:
                return int(folder.name)
        return 0

    return until(find, timeout=30)
