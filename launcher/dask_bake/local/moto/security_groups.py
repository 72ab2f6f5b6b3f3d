"""Who is in which security group, and what it lets in: moto's groups as ours, and made to be as EC2's."""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from dask_bake.local.network.bridge import cable_name
from dask_bake.local.network.security_groups import EVERY_PROTOCOL, Group, Port, Rule

IPV4_PROTOCOLS = {
    "-1": "-1",
    "tcp": "tcp",
    "6": "tcp",
    "udp": "udp",
    "17": "udp",
    "icmp": "icmp",
    "1": "icmp",
}


def read_groups(instances: Iterable[Any]) -> tuple[Group, ...]:
    """The groups that an instance's interface is in, in the order of their ids."""
    groups: dict[str, Any] = {}
    members: dict[str, set[IPv4Address]] = {}
    for instance in _living(instances):
        for nic in instance.nics.values():
            for group in nic.group_set:
                groups[group.id] = group
                members.setdefault(group.id, set()).add(IPv4Address(nic.private_ip_address))
    return tuple(
        Group(group_id, read_rules(groups[group_id].ingress_rules), tuple(sorted(members[group_id])))
        for group_id in sorted(groups)
    )


def read_ports(instances: Iterable[Any]) -> tuple[Port, ...]:
    """Where the instances are on the bridge, and the address of each."""
    return tuple(
        Port(cable_name(instance.id), IPv4Address(instance.private_ip_address), is_cut=instance.is_cut)
        for instance in _living(instances)
    )


def read_rules(rules: Iterable[Any]) -> tuple[Rule, ...]:
    """The rules for IPv4 whose source is a block or a group: for others nobody is there to come in."""
    return tuple(
        Rule(protocol, source, _number(rule.from_port), _number(rule.to_port))
        for rule in rules
        if (source := _source(rule)) is not None and (protocol := _protocol(rule)) is not None
    )


def let_members_in(backend: Any) -> None:
    """Give the default VPC's own group the rule that EC2 gives it: its members reach each other."""
    group = backend.get_default_security_group(backend.default_vpc.id)
    backend.authorize_security_group_ingress(
        group.id, EVERY_PROTOCOL, None, None, [], source_groups=[{"GroupId": group.id}]
    )


def agree_on_groups(backend: Any, *, instance_id: str = "", interface_id: str = "") -> None:
    """Have an instance and its first interface in the same groups, after those of one were changed.

    moto keeps both, and takes an interface to be in the groups of either.
    """
    if instance_id:
        instance = backend.get_instance(instance_id)
        instance.nics[0]._group_set = list(instance.security_groups)  # noqa: SLF001 - moto has no way to say it
        return
    interface = backend.get_network_interface(interface_id)
    if interface.instance:
        interface.instance.security_groups = list(interface._group_set)  # noqa: SLF001


def _living(instances: Iterable[Any]) -> Iterable[Any]:
    return (instance for instance in instances if instance.state != "terminated")


def _source(rule: Any) -> IPv4Network | str | None:
    if rule.cidr_ipv4:
        return IPv4Network(rule.cidr_ipv4, strict=False)
    return rule.source_group.get("GroupId") or None


def _protocol(rule: Any) -> str | None:
    name = str(rule.ip_protocol)
    known = IPV4_PROTOCOLS.get(name.lower())
    return known or (name if name.isascii() and name.isdecimal() and int(name) < 256 else None)


def _number(port: Any) -> int:
    return -1 if port is None else int(port)
