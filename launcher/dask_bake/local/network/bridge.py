"""The instances' network: an address block, a bridge, and a pair of veth interfaces for each machine.

Instances reach each other through the host alone: its firewall can apply security groups on any kernel.
"""

import errno
import json
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from dask_bake.errors import BakeError
from dask_bake.system.subprocesses import attempt, run

METADATA_ADDRESS = "169.254.169.254"
METADATA_PORT = 8169
S3_PORT = 8180
"""Instances use port 80, which is redirected: the host may have a web server of its own there."""
MTU = "9001"
"""Bytes of a packet, as on AWS. An instance has 1500 until it takes what DHCP offers."""
FORWARDING_SETTINGS = (
    ("conf", "forwarding", "1"),  # of this interface alone; the host's ip_forward is unchanged
    ("conf", "proxy_arp_pvlan", "1"),  # the host answers ARP requests of instances for each other
    ("neigh", "proxy_delay", "0"),
)
"""Settings of the bridge that let the host forward between instances; they end with the bridge."""
MAC_PREFIX = "02:ba:"
"""Begins the hardware addresses of bridges and instances: locally administered (IEEE 802)."""
BLOCK_LOCK = "\0dask-bake-address-block"
"""An abstract Unix socket: it belongs to the network namespace, as routes do, and ends with its holder."""
BLOCK_LOCK_TIMEOUT = 10.0
CANDIDATE_BLOCKS = tuple(
    IPv4Network(block)
    for block in ("10.213.0.0/20", "10.87.0.0/20", "172.29.0.0/20", "172.22.0.0/20", "192.168.208.0/20")
)


@dataclass(frozen=True)
class Network:
    """The address block of the instances and the bridge that carries it."""

    bridge: str
    block: IPv4Network

    @property
    def gateway(self) -> IPv4Address:
        """The host's address on the bridge: the instances' router, resolver, S3 and metadata server."""
        return self.block[1]


def choose_block(wanted: IPv4Network | None, taken: Iterable[IPv4Network]) -> IPv4Network:
    """Return the wanted block, or else the first candidate that overlaps no block in use.

    Raises:
        BakeError: when the wanted block, or every candidate, is in use.
    """
    taken = tuple(taken)
    candidates = (wanted,) if wanted else CANDIDATE_BLOCKS
    for block in candidates:
        if not any(block.overlaps(other) for other in taken):
            return block
    names = ", ".join(str(block) for block in candidates)
    raise BakeError(
        f"the local cloud's address block is in use on this machine: {names}",
        hint="set DASK_BAKE_LOCAL_BLOCK to a free private block, such as 10.99.0.0/20",
    )


def blocks_in_use() -> tuple[IPv4Network, ...]:
    """Return the destinations of this machine's routes, except the default route."""
    routes = json.loads(run(["ip", "-4", "-json", "route", "show", "table", "all"]) or "[]")
    return tuple(_destinations(route.get("dst", "default") for route in routes))


@contextmanager
def block_lock(name: str = BLOCK_LOCK, *, timeout: float = BLOCK_LOCK_TIMEOUT) -> Iterator[None]:
    """Let one local cloud at a time choose a block and make its bridge, so that no two choose the same.

    A local cloud holds the lock for a moment. Any user can hold it, and keeps none waiting for longer than
    ``timeout`` seconds.
    """
    deadline = time.monotonic() + timeout
    with socket.socket(socket.AF_UNIX) as lock:
        while not _bound(lock, name) and time.monotonic() < deadline:
            time.sleep(0.02)
        yield


def _bound(lock: socket.socket, name: str) -> bool:
    try:
        lock.bind(name)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return False
        raise
    return True


def _destinations(names: Iterable[str]) -> Iterable[IPv4Network]:
    for name in names:
        if name != "default":
            yield IPv4Network(name, strict=False)


def mac_address(address: str) -> str:
    """Return the hardware address that belongs to a private address, so that DHCP needs no state."""
    return MAC_PREFIX + ":".join(f"{byte:02x}" for byte in IPv4Address(address).packed)


def make_bridge(network: Network) -> None:
    """Make the bridge with the gateway's address, without IPv6, for which there are no firewall rules.

    Its hardware address is fixed. By default it would change with the interfaces on the bridge, while
    instances still have the old one in their ARP tables.
    """
    mac = mac_address(str(network.gateway))
    properties = ["address", mac, "mtu", MTU]
    run(["ip", "link", "add", "name", network.bridge, *properties, "type", "bridge", "forward_delay", "0"])
    try:
        run(["ip", "address", "add", f"{network.gateway}/{network.block.prefixlen}", "dev", network.bridge])
        for kind, name, value in FORWARDING_SETTINGS:
            Path(f"/proc/sys/net/ipv4/{kind}/{network.bridge}/{name}").write_text(value)
        run(["ip", "link", "set", "dev", network.bridge, "addrgenmode", "none", "up"])
    except BaseException:
        remove_bridge(network.bridge)
        raise


def is_own_bridge(name: str, interfaces: Path = Path("/sys/class/net")) -> bool:
    """Return whether an interface is a bridge that a local cloud made, and not one of the machine's own."""
    try:
        address = (interfaces / name / "address").read_text()
    except OSError:
        return False
    return address.startswith(MAC_PREFIX) and (interfaces / name / "bridge").exists()


def remove_bridge(name: str) -> None:
    """Remove the bridge."""
    attempt(["ip", "link", "delete", "dev", name])


def cable_name(machine: str) -> str:
    """Return the name of an instance's veth interface on the bridge; Linux allows 15 characters.

    Args:
        machine: the name of the machine, or the id of its instance.
    """
    return "vb" + machine[-12:]


def make_cable(network: Network, *, host_end: str, guest_end: str, address: str) -> None:
    """Make a veth pair with one end on the bridge; the other is for the instance with that address.

    The bridge forwards nothing between these ports: all traffic goes through the host.
    """
    peer = ["peer", "name", guest_end, "address", mac_address(address)]
    run(["ip", "link", "add", host_end, "mtu", MTU, "master", network.bridge, "up", "type", "veth", *peer])
    run(["ip", "link", "set", host_end, "type", "bridge_slave", "isolated", "on"])


def remove_cable(host_end: str) -> None:
    """Remove a veth pair by the name of its end on the bridge."""
    attempt(["ip", "link", "delete", host_end])
