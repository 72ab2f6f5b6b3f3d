"""Whether options and what was looked up go together: said before the first call that makes something."""

import ipaddress
from collections.abc import Sequence

from dask_bake.errors import UsageError
from dask_bake.hints import command_line
from dask_bake.launch.placement import shape
from dask_bake.launch.plan import LaunchPlan
from dask_bake.models.cloud import Connect
from dask_bake.models.ec2 import Image, InstanceType, PlacementGroup, SecurityGroup
from dask_bake.options.launch import LaunchOptions

LONGEST_ADDRESS = "255.255.255.255"
MOST_OF_A_SPREAD = 7
"""How many instances a spread placement group takes in a zone (EC2 user guide, placement strategies)."""


def check_groups(
    options: LaunchOptions, found: Sequence[SecurityGroup], vpc_id: str
) -> tuple[SecurityGroup, ...]:
    """The user's own group, if one was named: it is in the VPC that is launched into."""
    name, group_id = options.security_group, options.security_group_id
    if name is None and group_id is None:
        return ()
    flag = f"--security-group {name}" if group_id is None else f"--security-group-id {group_id}"
    if not found:
        raise UsageError(
            f"{flag}: there is no such group in this region",
            hint="leave it out: the cluster has a group of its own in any case",
        )
    here = tuple(group for group in found if group.vpc_id == vpc_id)
    if not here:
        raise UsageError(
            f"{flag} is in the VPC {found[0].vpc_id}, and the launch is in {vpc_id}",
            hint=f"--vpc-id {found[0].vpc_id} launches there; or name a group of {vpc_id}",
        )
    return here


def check_sources(options: LaunchOptions, found: Sequence[SecurityGroup]) -> None:
    """The groups that --cidr names are there."""
    there = {group.id for group in found}
    for source in options.cidr:
        if source.startswith("sg-") and source not in there:
            raise UsageError(
                f"--cidr {source}: there is no such group in this region",
                hint="aws ec2 describe-security-groups lists them",
            )


def check_key_pair(options: LaunchOptions, *, is_there: bool) -> None:
    """The key pair that --keyname names is there."""
    if not is_there:
        raise UsageError(
            f"--keyname {options.keyname}: there is no such key pair in this region",
            hint="leave it out: a key is made for the cluster",
        )


def check_profile(options: LaunchOptions, *, is_there: bool | None) -> None:
    """The instance profile is there, as far as that is to be known."""
    if is_there is False:
        raise UsageError(
            f"--iaminstance-name {options.iaminstance_name}: there is no such instance profile",
            hint="aws iam list-instance-profiles lists them; a role's name is not always its profile's",
        )


def check_placement_group(options: LaunchOptions, found: PlacementGroup | None) -> None:
    """The placement group that was named is there, and takes so many nodes."""
    name = options.placement_group
    if name is None:
        return
    if found is None:
        raise UsageError(
            f"--placement-group {name}: there is no such group in this region",
            hint=f"aws ec2 create-placement-group --group-name {name} --strategy cluster",
        )
    if found.state != "available":
        raise UsageError(
            f"--placement-group {name} is {found.state}, not available", hint="try again, or name another"
        )
    if found.strategy == "spread" and options.count > MOST_OF_A_SPREAD:
        raise UsageError(
            f"--placement-group {name} spreads its instances, at most {MOST_OF_A_SPREAD} in a zone,"
            f" and --count is {options.count}",
            hint="name a group of the strategy cluster or partition",
        )


def check_disk(options: LaunchOptions, image: Image) -> None:
    """The root volumes are large enough for the image."""
    size, least = options.volume_size, image.root_size
    if size is not None and least is not None and size < least:
        raise UsageError(
            f"--volume-size is {size} GiB, and the image {image.id} needs {least}",
            hint="leave it out for the image's own size",
        )


def no_such_type(options: LaunchOptions, name: str) -> UsageError:
    """The sentence for a type that EC2 does not know, with the option that it came from."""
    flag = "--type" if name in options.type else "--head-type"
    return UsageError(f"{flag} {name}: there is no such type in this region", hint="such as m6i.2xlarge")


def check_types(options: LaunchOptions, types: Sequence[InstanceType]) -> None:
    """EC2 knows every type, sells the workers' on spot if they must be, and the least fits on them."""
    by_name = {kind.name: kind for kind in types}
    for name in (*options.head_types, *options.type):
        if name not in by_name:
            raise no_such_type(options, name)
    for kind in (by_name[name] for name in options.type):
        if options.spot and not kind.can_be_spot:
            raise UsageError(
                f"--spot: AWS does not sell {kind.name} on spot",
                hint="take another --type, or --spot-with-fallback, or leave --spot out",
            )
        most = (options.count - 1) * shape(options, kind).nprocs
        if options.min_workers is not None and options.min_workers > most:
            raise UsageError(
                f"--min-workers is {options.min_workers}, and --count {options.count} of {kind.name}"
                f" makes {most}",
                hint="take more nodes with --count, or more processes with --nprocs",
            )


def check_user_data(plan: LaunchPlan) -> None:
    """What nodes of each role and type are told fits into user-data, whatever the head's address."""
    for kind in plan.surroundings.types:
        if kind.name in plan.options.head_types:
            plan.head(plan.first, kind)
        if kind.name in plan.options.type:
            plan.workers(plan.first, kind, LONGEST_ADDRESS)


def notes(plan: LaunchPlan) -> tuple[str, ...]:
    """What may be meant so, and may be a mistake."""
    return (
        *crowds(plan),
        *_dear(plan),
        *_unreachable(plan),
        *_from_outside(plan),
        *_endless(plan),
        *_slow_to_tell(plan),
    )


def crowds(plan: LaunchPlan) -> tuple[str, ...]:
    """What is too much for a node of a type that the workers may have."""
    if not plan.options.runs_dask:
        return ()
    kinds = {kind.name: kind for kind in plan.surroundings.types if kind.name in plan.options.type}
    found = []
    for kind in kinds.values():
        used, limit = plan.shape(kind), memory_limit(plan.options.memory_limit, kind)
        if used.nprocs * used.nthreads > kind.vcpus:
            found.append(
                f"{used.nprocs} worker processes of {used.nthreads} threads share the {kind.vcpus} virtual"
                f" CPUs of a {kind.name}."
            )
        if kind.memory and used.nprocs * limit > kind.memory:
            found.append(
                f"{used.nprocs} worker processes may use {plan.options.memory_limit} of memory each,"
                f" and a {kind.name} has {kind.memory / 1024:g} GiB."
            )
    return tuple(found)


def memory_limit(text: str, kind: InstanceType) -> float:
    """What a process may use, in MiB, as Dask reads it; 0 where Dask decides, or nothing is limited."""
    if text == "auto":
        return 0
    try:
        number = float(text)
    except ValueError:
        from dask.utils import parse_bytes

        return float(parse_bytes(text)) / 2**20
    return number * kind.memory if number <= 1 else number / 2**20


def _dear(plan: LaunchPlan) -> tuple[str, ...]:
    """Types that are on demand although spot was asked for."""
    if not plan.options.spot_with_fallback:
        return ()
    kinds = dict.fromkeys(kind for kind in plan.surroundings.types if kind.name in plan.options.type)
    return tuple(
        f"AWS does not sell {kind.name} on spot: it is tried on demand."
        for kind in kinds
        if not kind.can_be_spot
    )


def _unreachable(plan: LaunchPlan) -> tuple[str, ...]:
    """A subnet of the user's choice that looks private although the nodes are to have public addresses."""
    options, subnet = plan.options, plan.first.subnet
    if options.private or subnet.is_public or (options.subnet_id is None and options.vpc_id is None):
        return ()
    return (
        f"The subnet {subnet.id} gives its instances no public addresses of itself; the nodes get some, and"
        " are reached if it has a route to an internet gateway. --private is for those without.",
    )


def _from_outside(plan: LaunchPlan) -> tuple[str, ...]:
    """A public address that shall reach private ones."""
    options, outside = plan.options, [each for each in plan.surroundings.callers if _is_public(each)]
    if not options.private or options.way is not Connect.DIRECT or options.cidr or not outside:
        return ()
    return (
        f"SSH on the head is opened to {outside[0]}, as which the internet sees this machine; through a VPN"
        " the head sees another address, which --cidr names.",
    )


def _endless(plan: LaunchPlan) -> tuple[str, ...]:
    """Nodes that are told nothing, and so not when to end."""
    if plan.options.provision:
        return ()
    down = command_line("down", plan.options.name)
    return (f"Nothing ends these nodes by itself (--no-provision): {down} does.",)


def _slow_to_tell(plan: LaunchPlan) -> tuple[str, ...]:
    """Types for the head whose console, and so whose host key, EC2 does not show at once."""
    kinds = dict.fromkeys(kind for kind in plan.surroundings.types if kind.name in plan.options.head_types)
    return tuple(
        f"{kind.name} is not of the Nitro system: its console is read only minutes late, and a launch with"
        " such a head may need a longer --timeout."
        for kind in kinds
        if not kind.has_live_console
    )


def _is_public(source: str) -> bool:
    return not source.startswith("sg-") and ipaddress.ip_network(source).is_global
