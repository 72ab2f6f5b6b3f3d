"""Security-group rules for SSH: the access check, and the changes for ``allow-me``."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from dask_bake.clusters.naming import head_group_name, ssh_rule
from dask_bake.errors import BakeError, UsageError
from dask_bake.hints import cluster_command
from dask_bake.models.cloud import Connect
from dask_bake.models.cluster import Cluster
from dask_bake.models.ec2 import ConnectEndpoint, Rule, SecurityGroup, Subnet

SSH = 22
OURS = ssh_rule("").description
"""The description by which dask-bake recognises its own rules; other rules are kept."""


@dataclass(frozen=True)
class SshChange:
    """The rules to add and to remove, so that dask-bake's rules allow exactly the given callers."""

    group: SecurityGroup
    opened: tuple[Rule, ...]
    closed: tuple[Rule, ...]


def allows_ssh_from(cluster: Cluster, address: str) -> bool:
    """Return whether a rule of the cluster's groups allows SSH from the address block."""
    here = ipaddress.ip_network(address)
    rules = [rule for group in cluster.groups for rule in group.rules]
    return any(_covers(rule, here) for rule in rules if rule.port in (SSH, None))


def plan_change(cluster: Cluster, callers: Sequence[str]) -> SshChange:
    """Return the changes that allow these callers, and no others that dask-bake's rules allowed before."""
    group = ssh_group(cluster)
    there = [rule for rule in group.rules if rule.port == SSH]
    sources = {_canonical(rule.source) for rule in there}
    wanted = {_canonical(caller): caller for caller in callers}
    return SshChange(
        group,
        opened=tuple(ssh_rule(wanted[each]) for each in wanted if each not in sources),
        closed=tuple(
            rule for rule in there if rule.description == OURS and _canonical(rule.source) not in wanted
        ),
    )


def check_can_allow(cluster: Cluster, *, has_cidr: bool) -> None:
    """Raise a ``UsageError`` if the transport needs no rule, or if a bastion's address is not given."""
    if cluster.transport in (Connect.SSM, Connect.EICE):
        raise UsageError(
            f"cluster {cluster.name} uses --connect {cluster.transport}: no port has to be opened for your"
            " address",
            hint=f"{cluster_command('ssh', cluster.name)} works from any address, with your AWS credentials",
        )
    if cluster.transport is Connect.BASTION and not has_cidr:
        raise UsageError(
            f"cluster {cluster.name} is reached through the bastion {cluster.bastion}, not from this"
            " machine's address",
            hint="give the bastion's address or security group with --cidr",
        )


def choose_endpoint(endpoints: Sequence[ConnectEndpoint], subnet: Subnet) -> ConnectEndpoint:
    """Return the Instance Connect Endpoint for SSH: one in the subnet's VPC, preferably in the subnet.

    Raises:
        BakeError: if there is none, or only ones that keep the client's address.
    """
    here = [each for each in endpoints if each.vpc_id == subnet.vpc_id]
    ready = [each for each in here if not each.keeps_address]
    if ready:
        return min(ready, key=lambda each: (each.subnet_id != subnet.id, each.id))
    create = f"aws ec2 create-instance-connect-endpoint --subnet-id {subnet.id} --no-preserve-client-ip"
    if here:
        raise BakeError(
            f"the Instance Connect endpoint {here[0].id} preserves the client's address, which the"
            " cluster's security group does not allow",
            hint=f"{create} creates another one",
        )
    raise BakeError(
        f"the VPC {subnet.vpc_id} has no Instance Connect endpoint that is ready",
        hint=f"{create} creates one in some minutes",
    )


def ssh_group(cluster: Cluster) -> SecurityGroup:
    """Return the security group that allows SSH to the head."""
    for group in cluster.groups:
        if group.name == head_group_name(cluster.name):
            return group
    raise BakeError(
        f"cluster {cluster.name} has no security group for SSH",
        hint=f"{cluster_command('down', cluster.name)} ends it",
    )


def _covers(rule: Rule, here: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    if rule.source.startswith("sg-") or not rule.source:
        return False
    network = ipaddress.ip_network(rule.source)
    return network.version == here.version and here.subnet_of(network)  # type: ignore[arg-type]  # one version


def _canonical(source: str) -> str:
    return source if source.startswith("sg-") or not source else str(ipaddress.ip_network(source))
