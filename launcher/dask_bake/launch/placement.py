"""Where nodes may be put, best first: one zone for a cluster, in it types in order of preference."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import ceil

from dask_bake.errors import BakeError, UsageError
from dask_bake.models.cloud import Market
from dask_bake.models.ec2 import InstanceType, Subnet
from dask_bake.options.launch import LaunchOptions

SMALL_NODE = 4


@dataclass(frozen=True)
class Candidate:
    """A zone to try, with what to ask for there.

    Args:
        head_types: the types that the head may have, in order.
        worker_types: likewise for the workers.
        market: that of the workers; the head is always on demand.
    """

    subnet: Subnet
    head_types: tuple[InstanceType, ...]
    worker_types: tuple[InstanceType, ...]
    market: Market = Market.ON_DEMAND


@dataclass(frozen=True)
class WorkerLayout:
    """How Dask uses a worker node."""

    nprocs: int
    nthreads: int


def find_candidates(
    options: LaunchOptions,
    subnets: Sequence[Subnet],
    types: Sequence[InstanceType],
    offerings: Collection[tuple[str, str]],
) -> tuple[Candidate, ...]:
    """The places to try, in order: a cheaper market everywhere comes before a dearer one anywhere.

    Raises:
        BakeError: when there is no candidate at all; the message says what is in the way.
    """
    by_name = {each.name: each for each in types}
    found = [
        Candidate(subnet, head_types, worker_types, market)
        for market in markets(options)
        for subnet in in_order(options, subnets)
        if (head_types := _offered(options.head_types, by_name, subnet, offerings))
        and (worker_types := _sold(_offered(options.type, by_name, subnet, offerings), market))
    ]
    if not found:
        raise BakeError(
            f"{_what(options)} cannot be had in {_zones(in_order(options, subnets))}",
            hint=_where_else(options, subnets, offerings),
        )
    roomy = [candidate for candidate in found if candidate.subnet.free_addresses >= options.count]
    if not roomy:
        most = max((candidate.subnet for candidate in found), key=lambda subnet: subnet.free_addresses)
        raise BakeError(
            f"--count {options.count} needs as many addresses, and {most.id} in {most.zone} has"
            f" {most.free_addresses} left",
            hint="take fewer nodes, or name a larger subnet with --subnet-id",
        )
    return tuple(roomy)


def first_subnet(subnets: Sequence[Subnet]) -> Subnet:
    """The subnet of the first zone, for what need not choose."""
    if not subnets:
        raise BakeError(
            "there is no default subnet in this region", hint="aws ec2 create-default-vpc makes one"
        )
    return min(subnets, key=lambda each: (each.zone, each.id))


def markets(options: LaunchOptions) -> tuple[Market, ...]:
    """The markets that the workers may be bought on, in order."""
    if options.spot_with_fallback:
        return (Market.SPOT, Market.ON_DEMAND)
    return (Market.SPOT,) if options.spot else (Market.ON_DEMAND,)


def in_order(options: LaunchOptions, subnets: Sequence[Subnet]) -> tuple[Subnet, ...]:
    """The subnets to try, one for each zone: the user's zones in the user's order, or all by name.

    Raises:
        UsageError: for a zone that has no subnet here.
    """
    fitting = [subnet for subnet in subnets if subnet.is_public is not options.private] or list(subnets)
    # Of a zone's subnets the one that has most room.
    best = {subnet.zone: subnet for subnet in sorted(fitting, key=lambda each: each.free_addresses)}
    for zone in options.zone:
        if zone not in best:
            raise UsageError(
                f"--zone {zone}: there is no subnet to launch into there",
                hint=f"there is {', '.join(sorted(best))}",
            )
    return tuple(best[zone] for zone in options.zone or sorted(best))


def least_nodes(options: LaunchOptions, kind: InstanceType) -> int:
    """How many worker nodes of that type are good enough."""
    every, least = options.count - 1, options.min_workers
    return every if least is None else min(every, ceil(least / worker_layout(options, kind).nprocs))


def worker_layout(options: LaunchOptions, instance_type: InstanceType) -> WorkerLayout:
    """The processes and threads on a node of that type.

    ``auto`` is Dask's own rule (``distributed.deploy.utils.nprocesses_nthreads``): a process for each CPU up
    to four, beyond that as many as the square root of the number, rounded up to what divides it.
    """
    vcpus = instance_type.vcpus
    nprocs = options.nprocs
    if nprocs is None:
        nprocs = vcpus
        if vcpus > SMALL_NODE:
            nprocs = next(each for each in range(1, vcpus + 1) if vcpus % each == 0 and each * each >= vcpus)
    return WorkerLayout(nprocs, options.nthreads or threads_per_worker(vcpus, nprocs))


def threads_per_worker(vcpus: int, nprocs: int) -> int:
    """Each process's share of the virtual CPUs, and at least one."""
    return max(1, vcpus // nprocs)


def _offered(
    names: Sequence[str],
    by_name: dict[str, InstanceType],
    subnet: Subnet,
    offerings: Collection[tuple[str, str]],
) -> tuple[InstanceType, ...]:
    return tuple(by_name[name] for name in names if (name, subnet.zone) in offerings)


def _sold(kinds: tuple[InstanceType, ...], market: Market) -> tuple[InstanceType, ...]:
    return tuple(kind for kind in kinds if kind.can_be_spot or market is not Market.SPOT)


def _what(options: LaunchOptions) -> str:
    kinds = f"--type {', '.join(options.type)}"
    return f"--head-type {', '.join(options.head_type)} with {kinds}" if options.head_type else kinds


def _zones(subnets: Sequence[Subnet]) -> str:
    return ", ".join(subnet.zone for subnet in subnets)


def _where_else(
    options: LaunchOptions, subnets: Sequence[Subnet], offerings: Collection[tuple[str, str]]
) -> str:
    roles = (options.head_types, options.type)
    zones = sorted({subnet.zone for subnet in subnets})
    there = [
        zone for zone in zones if all(any((name, zone) in offerings for name in names) for names in roles)
    ]
    if there and options.zone:
        return f"--zone {','.join(there)} has what is needed"
    return "take another --type, or another --region"
