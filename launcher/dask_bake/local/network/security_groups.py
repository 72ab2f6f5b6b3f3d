"""Render security groups as nftables rules; pure.

A new connection to an instance needs a rule of one of its groups; replies, DHCP and the instance's own
connections need none. Packets with a source address other than the sender's own are dropped.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from dask_bake.local.network.firewall import firewall_table

ANYWHERE = IPv4Network("0.0.0.0/0")
EVERY_PROTOCOL = "-1"


@dataclass(frozen=True)
class IngressRule:
    """Allowed traffic from a block or a group's members; for icmp the ports are a type and a code."""

    protocol: str
    source: IPv4Network | str
    from_port: int = -1
    to_port: int = -1


@dataclass(frozen=True)
class Group:
    """A security group with its rules and the addresses of its members."""

    id: str
    rules: tuple[IngressRule, ...]
    members: tuple[IPv4Address, ...]


@dataclass(frozen=True)
class Port:
    """An instance's port of the bridge, with its only valid source address."""

    cable: str
    address: IPv4Address
    is_cut: bool = False


def render_rules(bridge: str, groups: Iterable[Group], ports: Iterable[Port]) -> str:
    """Return two tables in nft's language that replace the present ones in one transaction."""
    inhabited = tuple(group for group in groups if group.members)
    return "\n".join(
        (
            *_table("inet", firewall_table(bridge), _to_instances(bridge, inhabited)),
            *_table("bridge", firewall_table(bridge), _from_instances(tuple(ports))),
            "",
        )
    )


def _table(family: str, name: str, content: Iterable[str]) -> Iterator[str]:
    yield f"table {family} {name}"  # so that there is one to delete, the first time
    yield f"delete table {family} {name}"
    yield f"table {family} {name} {{"
    yield from (f"  {line}" for line in content)
    yield "}"


def _to_instances(bridge: str, groups: tuple[Group, ...]) -> Iterator[str]:
    members = {group.id: _set_name(group) for group in groups}
    for group in groups:
        yield from _set(_set_name(group), "ip saddr", (str(address) for address in group.members))
        rules = (match for rule in group.rules if (match := _match(rule, members)) is not None)
        yield from _chain(_chain_name(group), (f"{match} accept".lstrip() for match in rules))
    yield from _chain(
        "to_instances",
        (
            "icmp type redirect drop",  # traffic between instances has to stay on its way through the host
            "ct state established,related accept",
            "udp sport 67 udp dport 68 accept",
            *(f"ip daddr @{_set_name(group)} jump {_chain_name(group)}" for group in groups),
            "drop",
        ),
    )
    for hook in ("output", "forward"):
        yield from _chain(
            f"at_{hook}",
            (f"type filter hook {hook} priority filter;", f'oifname "{bridge}" jump to_instances'),
        )


def _from_instances(ports: tuple[Port, ...]) -> Iterator[str]:
    if not ports:
        return
    yield from _set("ports", "iifname", (f'"{port.cable}"' for port in ports))
    yield from _set("own", "iifname . ip saddr", (f'"{port.cable}" . {port.address}' for port in ports))
    cut = [port.cable for port in ports if port.is_cut]
    if cut:
        dropped = (f'oifname "{cable}" drop' for cable in cut)
        yield from _chain("to_cut", ("type filter hook output priority filter;", *dropped))
    nameless = "0.0.0.0"  # noqa: S104 - the source address of DHCP requests
    yield from _chain(
        "from_instances",
        (
            "type filter hook prerouting priority filter;",
            *(f'iifname "{cable}" drop' for cable in cut),
            "iifname @ports ether type != { ip, arp } drop",
            f"iifname @ports ip saddr != {nameless} iifname . ip saddr != @own drop",
            f"iifname @ports arp saddr ip != {nameless} iifname . arp saddr ip != @own drop",
        ),
    )


def _set(name: str, expression: str, elements: Iterable[str]) -> Iterator[str]:
    yield f"set {name} {{"
    # With `type`, what nft 1.1 writes makes nft 1.0 crash, be it in a container that shares this network.
    yield f"  typeof {expression}"
    yield f"  elements = {{ {', '.join(elements)} }}"
    yield "}"


def _chain(name: str, lines: Iterable[str]) -> Iterator[str]:
    yield f"chain {name} {{"
    yield from (f"  {line}" for line in lines)
    yield "}"


def _match(rule: IngressRule, members: dict[str, str]) -> str | None:
    """Return the rule as nft's match; None where its source group has no members."""
    if isinstance(rule.source, str):
        source = f"ip saddr @{members[rule.source]}" if rule.source in members else None
    else:
        source = "" if rule.source == ANYWHERE else f"ip saddr {rule.source}"
    return None if source is None else f"{source} {_protocol(rule)}".strip()


def _protocol(rule: IngressRule) -> str:
    match rule.protocol:
        case "-1":
            return ""
        case "tcp" | "udp" if rule.from_port == rule.to_port >= 0:
            return f"{rule.protocol} dport {rule.from_port}"
        case "tcp" | "udp" if rule.from_port >= 0:
            return f"{rule.protocol} dport {rule.from_port}-{rule.to_port}"
        case "icmp" if rule.from_port >= 0:
            code = f" icmp code {rule.to_port}" if rule.to_port >= 0 else ""
            return f"icmp type {rule.from_port}{code}"
    return f"meta l4proto {rule.protocol}"


def _set_name(group: Group) -> str:
    return f"in_{_word(group.id)}"


def _chain_name(group: Group) -> str:
    return f"rules_{_word(group.id)}"


def _word(group_id: str) -> str:
    return re.sub(r"[^A-Za-z0-9]", "_", group_id)
