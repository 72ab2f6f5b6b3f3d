"""The instances' network: a bridge, DHCP and DNS by dnsmasq, and nftables rules that keep it to itself.

Instances reach the host's DHCP, DNS, metadata and S3; nothing else, and nothing beyond the host. They reach
each other through the host alone, which sees every connection and applies the security groups, on any kernel.
The metadata address is answered for packets that enter from the bridge; the host's own stays untouched.
"""

import json
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from dask_bake.errors import BakeError
from dask_bake.local.commands import attempt, run

METADATA_ADDRESS = "169.254.169.254"
METADATA_PORT = 8169
FAMILIES = ("ip", "inet", "bridge")
"""Where nftables has a table of ours: the network's own, who reaches an instance, who an instance may be."""
S3_PORT = 8180
"""Instances ask port 80, where the host may have a web server of its own."""
THROUGH_HOST = (
    ("conf", "forwarding", "1"),  # of this interface alone; the machine's ip_forward is left as it is
    ("conf", "proxy_arp_pvlan", "1"),  # instances that ask for each other are told the host's address
    ("neigh", "proxy_delay", "0"),
)
"""What has the host hand on what comes from the bridge: it ends with the bridge."""
CANDIDATES = tuple(
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
        """The host's address on the bridge: router, resolver, S3 and metadata server of the instances."""
        return self.block[1]


def choose_block(wanted: IPv4Network | None, taken: Iterable[IPv4Network]) -> IPv4Network:
    """The wanted block, or the first candidate, that overlaps no block in use.

    Raises:
        BakeError: when the wanted block, or every candidate, is in use.
    """
    taken = tuple(taken)
    candidates = (wanted,) if wanted else CANDIDATES
    for block in candidates:
        if not any(block.overlaps(other) for other in taken):
            return block
    names = ", ".join(str(block) for block in candidates)
    raise BakeError(
        f"The local cloud's address block is in use on this machine: {names}.",
        hint="Set DASK_BAKE_LOCAL_BLOCK to a free private block, such as 10.99.0.0/20.",
    )


def blocks_in_use() -> tuple[IPv4Network, ...]:
    """The blocks that this machine has routes to, other than the default route."""
    routes = json.loads(run(["ip", "-4", "-json", "route", "show", "table", "all"]) or "[]")
    return tuple(_destinations(route.get("dst", "default") for route in routes))


def _destinations(names: Iterable[str]) -> Iterable[IPv4Network]:
    for name in names:
        if name != "default":
            yield IPv4Network(name, strict=False)


def mac_address(address: str) -> str:
    """The hardware address that belongs to a private address: derived, so that DHCP needs no state."""
    return "02:ba:" + ":".join(f"{byte:02x}" for byte in IPv4Address(address).packed)


def make_bridge(network: Network) -> None:
    """Make the bridge and give it the gateway's address, and none of IPv6, for which there are no rules.

    Its hardware address is set. Else it would be that of some cable, and another's when that one goes or a
    lower one comes, which instances that remember it do not notice.
    """
    mac = mac_address(str(network.gateway))
    run(["ip", "link", "add", network.bridge, "address", mac, "type", "bridge", "forward_delay", "0"])
    run(["ip", "address", "add", f"{network.gateway}/{network.block.prefixlen}", "dev", network.bridge])
    for kind, name, value in THROUGH_HOST:
        Path(f"/proc/sys/net/ipv4/{kind}/{network.bridge}/{name}").write_text(value)
    run(["ip", "link", "set", network.bridge, "addrgenmode", "none", "up"])


def remove_bridge(name: str) -> None:
    """Remove the bridge."""
    attempt(["ip", "link", "delete", name])


def cable_name(machine: str) -> str:
    """The bridge's end of a cable, by the machine's or the instance's name; Linux allows 15 characters."""
    return "vb" + machine[-12:]


def make_cable(network: Network, *, host_end: str, guest_end: str, address: str) -> None:
    """Make a veth pair with one end on the bridge; the other is for the instance with that address.

    What enters at the bridge's end leaves by no other cable.
    """
    peer = ["peer", "name", guest_end, "address", mac_address(address)]
    run(["ip", "link", "add", host_end, "master", network.bridge, "up", "type", "veth", *peer])
    run(["ip", "link", "set", host_end, "type", "bridge_slave", "isolated", "on"])


def remove_cable(host_end: str) -> None:
    """Remove a veth pair by its host's end."""
    attempt(["ip", "link", "delete", host_end])


def firewall_table(bridge: str) -> str:
    """The name of the nftables tables of a local cloud, one in each of ``FAMILIES``."""
    return bridge.replace("-", "_")


def firewall_rules(network: Network) -> str:
    """The rules, in nft's language: metadata is answered, a few services are open, only replies go beyond."""
    bridge, gateway = network.bridge, network.gateway
    return f"""
table ip {firewall_table(bridge)} {{
  chain metadata {{
    type nat hook prerouting priority dstnat;
    iifname "{bridge}" ip daddr {METADATA_ADDRESS} tcp dport 80 dnat to {gateway}:{METADATA_PORT}
    iifname "{bridge}" ip daddr {gateway} tcp dport 80 dnat to {gateway}:{S3_PORT}
  }}
  chain to_host {{
    type filter hook input priority filter;
    iifname != "{bridge}" accept
    ct state established,related accept
    udp dport {{ 53, 67 }} accept
    tcp dport {{ 53, {S3_PORT}, {METADATA_PORT} }} ip daddr {gateway} accept
    icmp type echo-request accept
    reject
  }}
  chain beyond_host {{
    type filter hook forward priority filter;
    iifname "{bridge}" oifname != "{bridge}" ct state != {{ established, related }} reject
  }}
}}
"""


def raise_firewall(network: Network) -> None:
    """Load the rules."""
    run(["nft", "-f", "-"], text=firewall_rules(network))


def lower_firewall(bridge: str) -> None:
    """Remove the rules, and those of the security groups."""
    for family in FAMILIES:
        attempt(["nft", "delete", "table", family, firewall_table(bridge)])


def firewall_stands(bridge: str) -> bool:
    """Whether a table of this local cloud exists."""
    listed = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=False)
    ours = {f"table {family} {firewall_table(bridge)}" for family in FAMILIES}
    return not ours.isdisjoint(listed.stdout.splitlines())
