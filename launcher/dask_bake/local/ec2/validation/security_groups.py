"""What EC2 takes as a security group, and as its rules (API reference, CreateSecurityGroup, IpPermission)."""

import re
from collections.abc import Iterator
from ipaddress import ip_network

from dask_bake.local.query_protocol import Call, Refusal, filters_of

TEXT = re.compile(r"[\w .:/()#,@\[\]+=&;{}!$*-]{0,255}", re.ASCII)
"""A group's name, and the description of a group or a rule."""
ALLOWED = "at most 255 characters of the set a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*"
WITH_PORTS = {"tcp": "tcp", "6": "tcp", "udp": "udp", "17": "udp"}
OTHER_PROTOCOLS = frozenset({"-1", "icmp", "icmpv6", *map(str, range(256))})
PORTS = range(65536)
FILTERS = re.compile(
    r"""description | group-id | group-name | owner-id | vpc-id | tag-key | tag:.+
    | (egress\.)?ip-permission\.(cidr|from-port|group-id|group-name|ipv6-cidr|prefix-list-id)
    | (egress\.)?ip-permission\.(protocol|to-port|user-id)""",
    re.VERBOSE,
)
CIDR = re.compile(r"(?:.*\.)?(CidrIp|CidrIpv6)")


def check_group(call: Call) -> None:
    """Raises where EC2 would refuse a new group's name, or a description."""
    name = call.parameters.get("GroupName", "")
    if call.action == "CreateSecurityGroup" and (name.startswith("sg-") or not TEXT.fullmatch(name)):
        raise Refusal(
            "InvalidParameterValue",
            f"Value ({name}) for parameter GroupName is invalid: {ALLOWED}, which do not begin with sg-",
        )
    for parameter, value in call.parameters.items():
        if parameter.endswith("Description") and not TEXT.fullmatch(value):
            raise Refusal("InvalidParameterValue", f"Invalid description '{value}': {ALLOWED}")


def check_filters(call: Call) -> None:
    """Raises where DescribeSecurityGroups has no such filter."""
    for name, _values in filters_of(call).wanted:
        if not FILTERS.fullmatch(name):
            raise Refusal("InvalidParameterValue", f"The filter '{name}' is invalid")


def check_rules(call: Call) -> None:
    """Raises where EC2 would refuse a new rule; its ports and blocks are told as EC2 keeps them."""
    for start in tuple(_rules(call)):
        _check_ports(call, start)
    canonicalise(call)


def canonicalise(call: Call) -> None:
    """Clear, in the request's blocks, the bits beyond their length: EC2 keeps and tells them so."""
    for name, value in tuple(call.parameters.items()):
        if CIDR.fullmatch(name):
            call.parameters[name] = _canonical(value)


def _rules(call: Call) -> Iterator[str]:
    """How the parameters of each rule begin."""
    for name in call.parameters:
        found = re.fullmatch(r"(IpPermissions\.\d+\.)?IpProtocol", name)
        if found:
            yield found[1] or ""


def _check_ports(call: Call, start: str) -> None:
    said = call.parameters[f"{start}IpProtocol"]
    if said.lower() not in WITH_PORTS and said.lower() not in OTHER_PROTOCOLS:
        raise Refusal("InvalidParameterValue", f"Invalid value '{said}' for IP protocol. Unknown protocol.")
    names = (f"{start}FromPort", f"{start}ToPort")
    if said.lower() not in WITH_PORTS:
        for name in names if said != "-1" else ():
            call.parameters.setdefault(name, "-1")  # all of them, as EC2 takes it; moto must be told
        return
    first, last = (call.parameters.get(name) for name in names)
    if first is None or last is None:
        raise Refusal(
            "InvalidParameterValue",
            "Invalid value for portRange. Must specify both from and to ports with TCP/UDP.",
        )
    if not all(port.isdecimal() and int(port) in PORTS for port in (first, last)) or int(first) > int(last):
        raise Refusal("InvalidParameterValue", f"Invalid TCP/UDP port range ({first}:{last})")


def _canonical(block: str) -> str:
    try:
        return str(ip_network(block, strict=False))
    except ValueError:
        raise Refusal("InvalidParameterValue", f"CIDR block {block} is malformed") from None
