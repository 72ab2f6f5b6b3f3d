"""Checks of the options against the discovery, before the first call that creates anything."""

from collections.abc import Sequence
from datetime import datetime

from dask_bake.clusters.condition import State, condition
from dask_bake.clusters.naming import already_there
from dask_bake.clusters.ssh_access import choose_endpoint
from dask_bake.errors import BakeError, UsageError
from dask_bake.hints import command_line
from dask_bake.images import compatibility
from dask_bake.launch.discovery import Discovery, no_such_type
from dask_bake.launch.placement import worker_layout
from dask_bake.launch.plan import LaunchTarget
from dask_bake.launch.quotas import check_quotas
from dask_bake.models.cloud import Cloud, Connect
from dask_bake.models.ec2 import Image, InstanceType, PlacementGroup, SecurityGroup, Subnet
from dask_bake.options.launch import LaunchOptions

MOST_OF_A_SPREAD = 7
"""Most instances of a spread placement group in a zone (EC2 user guide, placement strategies)."""


def check(options: LaunchOptions, cloud: Cloud, found: Discovery, *, now: datetime) -> LaunchTarget:
    """Return the target of the launch, with all options checked.

    Raises:
        BakeError: for the first resource that does not exist, or the first options that contradict.
    """
    check_subnets(options, found.subnets)
    check_named(options, found)
    check_name(options.name, found, now)
    check_types(options, found.types)
    image = choose_image(options, found)
    for kind in found.types:
        compatibility.check_architecture(image, kind, cloud.architectures)
    check_disk(options, image)
    check_sources(options, found.source_groups)
    subnet = found.subnets[0]
    endpoint = choose_endpoint(found.endpoints, subnet) if options.transport is Connect.EICE else None
    check_quotas(options, found.types, found.quotas)
    return LaunchTarget(
        cloud=cloud.name,
        region=cloud.region,
        image=image,
        subnets=found.subnets,
        types=found.types,
        offerings=found.offerings,
        callers=found.callers if endpoint is None else tuple(sorted(endpoint.group_ids)),
        groups=check_groups(options, found.user_groups, subnet.vpc_id),
        endpoint=None if endpoint is None else endpoint.id,
        ended=found.namesake,
        owner=found.owner,
    )


def check_subnets(options: LaunchOptions, found: Sequence[Subnet]) -> None:
    """Raise unless there is a subnet to launch into, and it is in the VPC that the options name."""
    vpc_id, subnet_id = options.vpc_id, options.subnet_id
    if not found:
        raise _no_subnet(options)
    if vpc_id not in (None, found[0].vpc_id):
        raise UsageError(
            f"--subnet-id {subnet_id} is in the VPC {found[0].vpc_id}, and --vpc-id is {vpc_id}",
            hint="a subnet says which VPC it is in: leave --vpc-id out",
        )


def _no_subnet(options: LaunchOptions) -> BakeError:
    hint = "aws ec2 describe-subnets lists them"
    if options.subnet_id is not None:
        return UsageError(
            f"--subnet-id {options.subnet_id}: there is no such subnet in this region", hint=hint
        )
    if options.vpc_id is not None:
        return UsageError(f"--vpc-id {options.vpc_id}: there is no subnet in such a VPC here", hint=hint)
    return BakeError(
        "there is no default subnet in this region",
        hint="aws ec2 create-default-vpc makes one; --subnet-id takes another",
    )


def check_named(options: LaunchOptions, found: Discovery) -> None:
    """Raise unless the key pair, instance profile and placement group that the options name exist."""
    check_key_pair(options, is_there=found.has_key_pair)
    check_profile(options, is_there=found.has_profile)
    check_placement_group(options, found.placement_group)


def check_name(name: str, found: Discovery, now: datetime) -> None:
    """Raise if a cluster has the name already, unless it has ended and may be cleared away."""
    if found.namesake is None:
        return
    there = condition(found.namesake, now)
    if there.may_be_cleared:
        return
    if there.state is State.ENDED:
        is_own, down = found.owner.owns(found.namesake.owners), command_line("down", name)
        raise UsageError(
            f"cluster {name} {there.text}; it cannot be cleared away yet, as a launch may be under way",
            hint=f"{f'{down} clears it at once, ' if is_own else ''}--name gives another",
        )
    raise already_there(name, found.namesake.owners, found.owner)


def choose_image(options: LaunchOptions, found: Discovery) -> Image:
    """Return the image that the options name, else the account's newest verified image that fits."""
    if options.ami is None:
        by_name = {kind.name: kind for kind in found.types}
        return compatibility.newest_verified(
            found.images, by_name[options.type[0]], environment=options.image_name
        )
    (image,) = found.images
    if image.state != "available":
        raise BakeError(
            f"the image {image.id} is {image.state}, not available",
            hint="wait until it is, or leave --ami out for the newest that was baked",
        )
    return image


def check_groups(
    options: LaunchOptions, found: Sequence[SecurityGroup], vpc_id: str
) -> tuple[SecurityGroup, ...]:
    """Return the user's own group, if the options name one; raise unless it is in the launch's VPC."""
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
    """Raise unless the security groups that ``--cidr`` names exist."""
    there = {group.id for group in found}
    for source in options.cidr:
        if source.startswith("sg-") and source not in there:
            raise UsageError(
                f"--cidr {source}: there is no such group in this region",
                hint="aws ec2 describe-security-groups lists them",
            )


def check_key_pair(options: LaunchOptions, *, is_there: bool) -> None:
    """Raise unless the key pair that ``--keyname`` names exists."""
    if not is_there:
        raise UsageError(
            f"--keyname {options.keyname}: there is no such key pair in this region",
            hint="leave it out: a key is made for the cluster",
        )


def check_profile(options: LaunchOptions, *, is_there: bool | None) -> None:
    """Raise if the instance profile does not exist; accept one that cannot be read."""
    if is_there is False:
        raise UsageError(
            f"--iaminstance-name {options.iaminstance_name}: there is no such instance profile",
            hint="aws iam list-instance-profiles lists them; a role's name is not always its profile's",
        )


def check_placement_group(options: LaunchOptions, found: PlacementGroup | None) -> None:
    """Raise unless the placement group exists, is available, and takes ``--count`` nodes."""
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
    """Raise if ``--volume-size`` is too small for the image."""
    size, least = options.volume_size, image.root_size
    if size is not None and least is not None and size < least:
        raise UsageError(
            f"--volume-size is {size} GiB, and the image {image.id} needs {least}",
            hint="leave it out for the image's own size",
        )


def check_types(options: LaunchOptions, types: Sequence[InstanceType]) -> None:
    """Raise unless every type exists, is sold on spot if required, and has room for ``--min-workers``."""
    by_name = {kind.name: kind for kind in types}
    for name in (*options.head_types, *options.type):
        if name not in by_name:
            raise no_such_type(options, name)
    for kind in (by_name[name] for name in options.type):
        if options.spot and not kind.can_be_spot:
            raise UsageError(
                f"--spot: AWS does not offer {kind.name} as Spot Instances",
                hint="take another --type, or --spot-with-fallback, or leave --spot out",
            )
        most = (options.count - 1) * worker_layout(options, kind).nprocs
        if options.min_workers is not None and options.min_workers > most:
            raise UsageError(
                f"--min-workers is {options.min_workers}, and --count {options.count} of {kind.name}"
                f" makes {most}",
                hint="take more nodes with --count, or more processes with --nprocs",
            )
