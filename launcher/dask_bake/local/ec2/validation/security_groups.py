"""Validation of security groups and rules (API reference, CreateSecurityGroup, IpPermission)."""

import re
from collections.abc import Iterator
from ipaddress import ip_network

from dask_bake.local.query_protocol import Refusal, Request, filters_of

GROUP_TEXT = re.compile(r"[\w .:/()#,@\[\]+=&;{}!$*-]{0,255}", re.ASCII)
"""Valid names of groups, and descriptions of groups and rules."""
ALLOWED = "at most 255 characters of the set a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*"
WITH_PORTS = {"tcp": "tcp", "6": "tcp", "udp": "udp", "17": "udp"}
ICMP = frozenset({"icmp", "1", "icmpv6", "58"})
OTHER_PROTOCOLS = frozenset({"-1", *ICMP, *map(str, range(256))})
PORTS = range(65536)
ICMP_NUMBERS = range(-1, 256)
"""Types and codes of ICMP; -1 is all."""
NUMBER = re.compile(r"-?\d{1,9}", re.ASCII)
FILTERS = re.compile(
    r"""description | group-id | group-name | owner-id | vpc-id | tag-key | tag:.+
    | (egress\.)?ip-permission\.(cidr|from-port|group-id|group-name|ipv6-cidr|prefix-list-id)
    | (egress\.)?ip-permission\.(protocol|to-port|user-id)""",
    re.VERBOSE,
)
CIDR = re.compile(r"(?:.*\.)?(CidrIp|CidrIpv4|CidrIpv6)")


def check_group(request: Request) -> None:
    """Refuse an invalid group name or description."""
    name = request.parameters.get("GroupName", "")
    if request.action == "CreateSecurityGroup" and (name.startswith("sg-") or not GROUP_TEXT.fullmatch(name)):
        raise Refusal(
            "InvalidParameterValue",
            f"Value ({name}) for parameter GroupName is invalid: {ALLOWED}, which do not begin with sg-",
        )
    for parameter, value in request.parameters.items():
        if parameter.endswith("Description") and not GROUP_TEXT.fullmatch(value):
            raise Refusal("InvalidParameterValue", f"Invalid description '{value}': {ALLOWED}")


def check_filters(request: Request) -> None:
    """Refuse a filter that DescribeSecurityGroups does not have."""
    for name, _values in filters_of(request).wanted:
        if not FILTERS.fullmatch(name):
            raise Refusal("InvalidParameterValue", f"The filter '{name}' is invalid")


def check_rules(request: Request) -> None:
    """Refuse an invalid rule; normalise the ports and CIDR blocks of valid ones."""
    for start in tuple(_rules(request)):
        _check_ports(request, start)
    normalise_blocks(request)


def normalise_blocks(request: Request) -> None:
    """Clear the host bits of the request's CIDR blocks, as EC2 does."""
    for name, value in tuple(request.parameters.items()):
        if CIDR.fullmatch(name):
            request.parameters[name] = _normalised(value)


def _rules(request: Request) -> Iterator[str]:
    """Yield the prefix of each rule's parameters."""
    for name in request.parameters:
        found = re.fullmatch(
            r"(IpPermissions\.\d+\.|SecurityGroupRule\.\d+\.SecurityGroupRule\.)?IpProtocol", name
        )
        if found:
            yield found[1] or ""


def _check_ports(request: Request, start: str) -> None:
    protocol = request.parameters[f"{start}IpProtocol"]
    if protocol.lower() not in WITH_PORTS and protocol.lower() not in OTHER_PROTOCOLS:
        raise Refusal(
            "InvalidParameterValue", f"Invalid value '{protocol}' for IP protocol. Unknown protocol."
        )
    names = (f"{start}FromPort", f"{start}ToPort")
    if protocol.lower() in ICMP:
        _check_icmp(*(request.parameters.setdefault(name, "-1") for name in names))
        return
    if protocol.lower() not in WITH_PORTS:
        for name in names:
            if protocol != "-1" or name in request.parameters:
                request.parameters[name] = "-1"  # EC2 ignores what is given
        return
    first, last = (request.parameters.get(name) for name in names)
    if first is None or last is None:
        raise Refusal(
            "InvalidParameterValue",
            "Invalid value for portRange. Must specify both from and to ports with TCP/UDP.",
        )
    if not (_is_in(first, PORTS) and _is_in(last, PORTS)) or int(first) > int(last):
        raise Refusal("InvalidParameterValue", f"Invalid TCP/UDP port range ({first}:{last})")


def _check_icmp(kind: str, code: str) -> None:
    for name, number in (("type", kind), ("code", code)):
        if not _is_in(number, ICMP_NUMBERS):
            raise Refusal("InvalidParameterValue", f"ICMP {name} ({number}) out of range")
    if int(kind) == -1 != int(code):
        raise Refusal("InvalidParameterValue", f"All ICMP types have all codes, not code {code}")


def _is_in(text: str, numbers: range) -> bool:
    return NUMBER.fullmatch(text) is not None and int(text) in numbers


def _normalised(block: str) -> str:
    try:
        return str(ip_network(block, strict=False))
    except ValueError:
        raise Refusal("InvalidParameterValue", f"CIDR block {block} is malformed") from None
