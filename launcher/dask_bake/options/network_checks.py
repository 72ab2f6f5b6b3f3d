"""Which ways into a cluster there can be, and how wide they may be."""

import ipaddress
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dask_bake.errors import UsageError
from dask_bake.models.cloud import Connect
from dask_bake.options.values import shown

if TYPE_CHECKING:
    from dask_bake.options.launch import LaunchOptions

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

WIDEST = 24
WIDEST_OF_6 = 56
NEVER_WIDER = {4: 8, 6: 16}
"""No option opens more than that, in one block or in several that make one."""
MOST_RULES = 60
"""How many rules a security group takes (VPC user guide, quotas)."""


def check_network(options: "LaunchOptions") -> None:
    """Raises a ``UsageError`` for the first thing that leads nowhere, or too far."""
    if options.private and options.connect is None:
        raise UsageError(
            "--private leaves the head without a public address, and nothing says how you get there",
            hint="--connect bastion, ssm or eice; or direct, if this machine is in the VPC or its VPN",
        )
    _check_bastion(options)
    if options.way is Connect.SSM and options.iaminstance_name is None:
        raise UsageError(
            "--connect ssm needs --iaminstance-name: a node's agent registers with an instance profile",
            hint="one with AmazonSSMManagedInstanceCore; --connect eice needs none",
        )
    if options.way in (Connect.SSM, Connect.EICE) and options.cidr:
        raise UsageError(
            f"--cidr opens a port, and --connect {options.way} needs none", hint="leave --cidr out"
        )
    if len(options.cidr) > MOST_RULES:
        raise UsageError(
            f"--cidr gives {len(options.cidr)} blocks, and a security group takes {MOST_RULES} rules",
            hint="give fewer, or wider ones",
        )
    check_widths(options.cidr, allowed=options.allow_wide_cidr)
    if options.security_group is not None and options.security_group_id is not None:
        raise UsageError("--security-group and --security-group-id are two groups", hint="give one of them")


def check_widths(cidrs: Sequence[str], *, allowed: bool) -> None:
    """Refuses much of the world in any case, and what is wider than /24 unless it is insisted on."""
    networks = [ipaddress.ip_network(cidr) for cidr in cidrs if not cidr.startswith("sg-")]
    for network in networks:
        _check_width(network, allowed=allowed)
    together: tuple[Network, ...] = (
        *ipaddress.collapse_addresses(each for each in networks if isinstance(each, ipaddress.IPv4Network)),
        *ipaddress.collapse_addresses(each for each in networks if isinstance(each, ipaddress.IPv6Network)),
    )
    for network in together:
        _check_limit(network, f"--cidr opens {network} altogether, which")


def _check_limit(network: Network, what: str) -> None:
    if network.prefixlen == 0:
        raise UsageError(f"{what} is the whole world", hint="leave --cidr out: then it is your own address")
    if network.prefixlen < NEVER_WIDER[network.version]:
        raise UsageError(
            f"{what} is {network.num_addresses:,} addresses",
            hint="nothing is opened to more than a /8, or a /16 of IPv6",
        )


def _check_width(network: Network, *, allowed: bool) -> None:
    _check_limit(network, f"--cidr {network}")
    if network.prefixlen < (WIDEST if network.version == 4 else WIDEST_OF_6) and not allowed:
        raise UsageError(
            f"--cidr {network} is {network.num_addresses:,} addresses",
            hint="--allow-wide-cidr insists; without --cidr it is your own address alone",
        )


def _check_bastion(options: "LaunchOptions") -> None:
    if options.bastion is not None and options.way is not Connect.BASTION:
        raise UsageError("--bastion is for --connect bastion", hint="add that, or leave --bastion out")
    if options.way is not Connect.BASTION:
        return
    if options.bastion is None:
        raise UsageError("--connect bastion needs the bastion", hint="--bastion HOST, as your ssh knows it")
    if options.bastion.startswith("-") or not re.fullmatch(r"[\w.@:-]+", options.bastion):
        raise UsageError(
            f"--bastion is {shown(options.bastion)}, which is no host",
            hint="user@host, or a name of your ssh configuration",
        )
    if not options.cidr:
        raise UsageError(
            "--connect bastion needs --cidr: the address, or the security group, that the bastion comes from",
            hint="--cidr 10.0.0.5/32, or --cidr sg-0123456789abcdef0",
        )
