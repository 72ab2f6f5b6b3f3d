"""Security groups as nftables rules: pure, so that what is enforced can be read and compared.

A new connection to an instance needs a rule of one of its groups; its replies, DHCP's answers and all that
belongs to a connection of the instance's own need none. Nobody speaks with an address that is not theirs.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from dask_bake.local.network.firewall import firewall_table

ANYWHERE = IPv4Network("0.0.0.0/0")
EVERY_PROTOCOL = "-1"


@dataclass(frozen=True)
class Rule:
    """What may come in: from a block or a group's members; for icmp the ports are a type and a code."""

    protocol: str
    source: IPv4Network | str
    from_port: int = -1
    to_port: int = -1


@dataclass(frozen=True)
class Group:
    """A security group: its rules, and the addresses of the interfaces that are in it."""

    id: str
    rules: tuple[Rule, ...]
    members: tuple[IPv4Address, ...]


@dataclass(frozen=True)
class Port:
    """An instance's end of the bridge, and the one address that it may speak with, unless it is cut off."""

    cable: str
    address: IPv4Address
    is_cut: bool = False


def render_rules(bridge: str, groups: Iterable[Group], ports: Iterable[Port]) -> str:
    """Two tables in nft's language that take the place, in one step, of those that are there."""
    inhabited = tuple(group for group in groups if group.members)
    return "\n".join(
        (
            *_table("inet", firewall_table(bridge), _to_instances(bridge, inhabited)),
            *_table("bridge", firewall_table(bridge), _from_instances(tuple(ports))),
            "",
        )
    )


def _table(family: str, name: str, content: Iterable[str]) -> Iterator[str]:
    yield f"table {family} {name}"  # or there would be none to delete, the first time
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
            "icmp type redirect drop",  # instances reach each other through the host, and are to go on so
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
    nameless = "0.0.0.0"  # noqa: S104 - who asks DHCP for an address has none
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


def _match(rule: Rule, members: dict[str, str]) -> str | None:
    """What a packet has to be for the rule; None when nothing can be, as its source has no members."""
    if isinstance(rule.source, str):
        source = f"ip saddr @{members[rule.source]}" if rule.source in members else None
    else:
        source = "" if rule.source == ANYWHERE else f"ip saddr {rule.source}"
    return None if source is None else f"{source} {_protocol(rule)}".strip()


def _protocol(rule: Rule) -> str:
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
