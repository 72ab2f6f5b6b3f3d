"""Candidates for placement, best first: one zone for a cluster, with types in order of preference."""

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
    """A zone to try, with the types and the market to request there.

    Args:
        head_types: types for the head, in order of preference.
        worker_types: types for the workers, in order of preference.
        market: market of the workers; the head is always on demand.
    """

    subnet: Subnet
    head_types: tuple[InstanceType, ...]
    worker_types: tuple[InstanceType, ...]
    market: Market = Market.ON_DEMAND


@dataclass(frozen=True)
class WorkerLayout:
    """Worker processes on a node, and threads in each process."""

    nprocs: int
    nthreads: int


def find_candidates(
    options: LaunchOptions,
    subnets: Sequence[Subnet],
    types: Sequence[InstanceType],
    offerings: Collection[tuple[str, str]],
) -> tuple[Candidate, ...]:
    """Return the candidates to try, in order: the cheaper market in all zones, then the dearer one.

    Raises:
        BakeError: if there is no candidate; the message says why.
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
            f"{_what(options)} is not available in {_zones(in_order(options, subnets))}",
            hint=_where_else(options, subnets, offerings),
        )
    roomy = [candidate for candidate in found if candidate.subnet.free_addresses >= options.count]
    if not roomy:
        most = max((candidate.subnet for candidate in found), key=lambda subnet: subnet.free_addresses)
        raise BakeError(
            f"--count {options.count} needs as many free addresses, but {most.id} in {most.zone} has"
            f" {most.free_addresses}",
            hint="take fewer nodes, or name a larger subnet with --subnet-id",
        )
    return tuple(roomy)


def markets(options: LaunchOptions) -> tuple[Market, ...]:
    """Return the markets for the workers, in order."""
    if options.spot_with_fallback:
        return (Market.SPOT, Market.ON_DEMAND)
    return (Market.SPOT,) if options.spot else (Market.ON_DEMAND,)


def in_order(options: LaunchOptions, subnets: Sequence[Subnet]) -> tuple[Subnet, ...]:
    """Return one subnet for each zone: the user's zones in the user's order, or all zones by name.

    Raises:
        UsageError: for a zone without a subnet among these.
    """
    fitting = [subnet for subnet in subnets if subnet.is_public is not options.private] or list(subnets)
    # The subnet of each zone with the most free addresses.
    best = {subnet.zone: subnet for subnet in sorted(fitting, key=lambda each: each.free_addresses)}
    for zone in options.zone:
        if zone not in best:
            raise UsageError(
                f"--zone {zone}: there is no subnet to launch into there",
                hint=f"there is {', '.join(sorted(best))}",
            )
    return tuple(best[zone] for zone in options.zone or sorted(best))


def least_nodes(options: LaunchOptions, kind: InstanceType) -> int:
    """Return the number of worker nodes of that type that suffice."""
    every, least = options.count - 1, options.min_workers
    return every if least is None else min(every, ceil(least / worker_layout(options, kind).nprocs))


def worker_layout(options: LaunchOptions, instance_type: InstanceType) -> WorkerLayout:
    """Return the processes and threads on a worker node of that type.

    ``auto`` is Dask's own rule (``distributed.deploy.utils.nprocesses_nthreads``): a process for each CPU up
    to four CPUs; beyond that, the square root of the number of CPUs, rounded up to one of its divisors.
    """
    vcpus = instance_type.vcpus
    nprocs = options.nprocs
    if nprocs is None:
        nprocs = vcpus
        if vcpus > SMALL_NODE:
            nprocs = next(each for each in range(1, vcpus + 1) if vcpus % each == 0 and each * each >= vcpus)
    return WorkerLayout(nprocs, options.nthreads or threads_per_worker(vcpus, nprocs))


def threads_per_worker(vcpus: int, nprocs: int) -> int:
    """Return each process's share of the virtual CPUs, at least one."""
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
        return f"--zone {','.join(there)} offers these types"
    return "take another --type, or another --region"
