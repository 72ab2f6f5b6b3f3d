"""Checks of the options for network access: SSH transports, CIDR blocks, security groups."""

import ipaddress
import re
from collections.abc import Sequence

from dask_bake.errors import UsageError
from dask_bake.models.cloud import Connect
from dask_bake.options.launch import LaunchOptions
from dask_bake.options.values import quoted

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

SHORTEST_PREFIX = {4: 24, 6: 56}
"""The widest blocks that are allowed without ``--allow-wide-cidr``, by IP version."""
SHORTEST_PREFIX_EVER = {4: 8, 6: 16}
"""The widest blocks that any option allows, also for several blocks combined."""
MOST_RULES = 60
"""Rules per security group (VPC user guide, quotas)."""


def check_network(options: LaunchOptions) -> None:
    """Raise a ``UsageError`` for the first option that allows no access, or too much."""
    if options.private and options.connect is None:
        raise UsageError(
            "--private gives the head node no public address, and --connect is not set",
            hint="--connect bastion, ssm or eice; or direct, if this machine is in the VPC or its VPN",
        )
    _check_bastion(options)
    if options.transport is Connect.SSM and options.iaminstance_name is None:
        raise UsageError(
            "--connect ssm requires --iaminstance-name: the SSM Agent registers with an instance profile",
            hint="give a profile with AmazonSSMManagedInstanceCore; --connect eice requires none",
        )
    if options.transport in (Connect.SSM, Connect.EICE) and options.cidr:
        raise UsageError(
            f"--cidr has no effect with --connect {options.transport}, which opens no port",
            hint="leave --cidr out",
        )
    if len(options.cidr) > MOST_RULES:
        raise UsageError(
            f"--cidr gives {len(options.cidr)} blocks, and a security group allows {MOST_RULES} rules",
            hint="give fewer or wider blocks",
        )
    check_widths(options.cidr, allow_wide=options.allow_wide_cidr)
    if options.security_group is not None and options.security_group_id is not None:
        raise UsageError(
            "--security-group and --security-group-id cannot be combined", hint="give one of them"
        )


def check_widths(cidrs: Sequence[str], *, allow_wide: bool) -> None:
    """Raise a ``UsageError`` for a block that is too wide, alone or combined with others."""
    networks = [ipaddress.ip_network(cidr) for cidr in cidrs if not cidr.startswith("sg-")]
    for network in networks:
        _check_width(network, allow_wide=allow_wide)
    combined: tuple[Network, ...] = (
        *ipaddress.collapse_addresses(each for each in networks if isinstance(each, ipaddress.IPv4Network)),
        *ipaddress.collapse_addresses(each for each in networks if isinstance(each, ipaddress.IPv6Network)),
    )
    for network in combined:
        _check_limit(network, f"--cidr: the blocks together are {network}, which")


def _check_width(network: Network, *, allow_wide: bool) -> None:
    _check_limit(network, f"--cidr {network}")
    if network.prefixlen < SHORTEST_PREFIX[network.version] and not allow_wide:
        raise UsageError(
            f"--cidr {network} contains {network.num_addresses:,} addresses",
            hint="--allow-wide-cidr allows it; without --cidr only your own address is allowed",
        )


def _check_limit(network: Network, subject: str) -> None:
    if network.prefixlen == 0:
        raise UsageError(
            f"{subject} contains all addresses of the internet",
            hint="leave --cidr out to allow your own address only",
        )
    if network.prefixlen < SHORTEST_PREFIX_EVER[network.version]:
        raise UsageError(
            f"{subject} contains {network.num_addresses:,} addresses",
            hint="at most a /8 can be allowed, or a /16 of IPv6",
        )


def _check_bastion(options: LaunchOptions) -> None:
    if options.bastion is not None and options.transport is not Connect.BASTION:
        raise UsageError("--bastion requires --connect bastion", hint="add it, or leave --bastion out")
    if options.transport is not Connect.BASTION:
        return
    if options.bastion is None:
        raise UsageError(
            "--connect bastion requires --bastion", hint="--bastion HOST, as in your SSH configuration"
        )
    if options.bastion.startswith("-") or not re.fullmatch(r"[\w.@:-]+", options.bastion):
        raise UsageError(
            f"--bastion: {quoted(options.bastion)} is not a host name",
            hint="user@host, or a host of your SSH configuration",
        )
    if not options.cidr:
        raise UsageError(
            "--connect bastion requires --cidr: the address or the security group of the bastion",
            hint="--cidr 10.0.0.5/32, or --cidr sg-0123456789abcdef0",
        )
