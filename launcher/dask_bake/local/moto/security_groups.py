"""moto's security groups and their members as firewall input; corrections where EC2 differs from moto."""

from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from dask_bake.local.network.bridge import cable_name
from dask_bake.local.network.security_groups import EVERY_PROTOCOL, Group, IngressRule, Port

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
    """Return the groups of the instances' interfaces, in the order of their ids."""
    groups: dict[str, Any] = {}
    members: dict[str, set[IPv4Address]] = {}
    for instance in _not_terminated(instances):
        for nic in instance.nics.values():
            for group in nic.group_set:
                groups[group.id] = group
                members.setdefault(group.id, set()).add(IPv4Address(nic.private_ip_address))
    return tuple(
        Group(group_id, read_rules(groups[group_id].ingress_rules), tuple(sorted(members[group_id])))
        for group_id in sorted(groups)
    )


def read_ports(instances: Iterable[Any]) -> tuple[Port, ...]:
    """Return the bridge port and the address of each instance."""
    return tuple(
        Port(cable_name(instance.id), IPv4Address(instance.private_ip_address), is_cut=instance.is_cut)
        for instance in _not_terminated(instances)
    )


def read_rules(rules: Iterable[Any]) -> tuple[IngressRule, ...]:
    """Return the rules for IPv4 whose source is a CIDR block or a group; others match no traffic here."""
    return tuple(
        IngressRule(protocol, source, _number(rule.from_port), _number(rule.to_port))
        for rule in rules
        if (source := _source(rule)) is not None and (protocol := _protocol(rule)) is not None
    )


def allow_group_members(backend: Any) -> None:
    """Add EC2's rule to the default security group: its members reach each other."""
    group = backend.get_default_security_group(backend.default_vpc.id)
    backend.authorize_security_group_ingress(
        group.id, EVERY_PROTOCOL, None, None, [], source_groups=[{"GroupId": group.id}]
    )


def remember_rules(backend: Any) -> Callable[[], None]:
    """Return a function that puts the region's security groups back to the rules that they have now."""
    groups = [group for of_vpc in backend.groups.values() for group in of_vpc.values()]
    lists = [(group, list(group.ingress_rules), list(group.egress_rules)) for group in groups]
    rules = [rule for _group, ingress, egress in lists for rule in (*ingress, *egress)]
    values = [(rule, {**vars(rule), "ip_range": dict(rule.ip_range or {})}) for rule in rules]

    def restore() -> None:
        for group, ingress, egress in lists:
            group.ingress_rules, group.egress_rules = ingress, egress
        for rule, fields in values:
            vars(rule).update(fields)

    return restore


def sync_groups(backend: Any, *, instance_id: str = "", interface_id: str = "") -> None:
    """Copy the groups of an instance to its first interface, or the reverse, after one was changed.

    moto keeps both lists, and regards an interface as a member of the groups in either.
    """
    if instance_id:
        instance = backend.get_instance(instance_id)
        instance.nics[0]._group_set = list(instance.security_groups)  # noqa: SLF001 - moto has no setter
        return
    interface = backend.get_network_interface(interface_id)
    if interface.instance:
        interface.instance.security_groups = list(interface._group_set)  # noqa: SLF001


def _not_terminated(instances: Iterable[Any]) -> Iterable[Any]:
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
