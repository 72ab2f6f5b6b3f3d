"""What a launch finds where it is to happen: everything looked up at once, nothing made."""

from collections.abc import Callable

from dask_bake import fingerprint
from dask_bake.edges import InstanceType, LookUps
from dask_bake.errors import BakeError, UsageError
from dask_bake.models import DEBIAN_ACCOUNT, Cloud, Connect, Image, SecurityGroup, Subnet, Tag
from dask_bake.options import LaunchOptions
from dask_bake.plan import Surroundings
from dask_bake.together import together


def look_around(
    options: LaunchOptions, cloud: Cloud, ec2: LookUps, caller: Callable[[], str]
) -> Surroundings:
    """What the plan needs to know; a request that cannot be carried out here fails here.

    Args:
        caller: asks for this machine's address, as a block of one.
    """
    names = tuple(dict.fromkeys((*options.head_types, *options.type)))
    types, offerings, subnets, images, callers, groups = together(
        lambda: ec2.instance_types(names),
        lambda: ec2.offerings(names),
        lambda: find_subnets(options, ec2),
        lambda: find_images(options, ec2),
        lambda: find_callers(options, caller),
        lambda: find_groups(options, ec2),
    )
    by_name = {kind.name: kind for kind in types}
    image = choose_image(images, by_name[options.type[0]], asked=options.ami is not None)
    for kind in types:
        fingerprint.check_architecture(image, kind, cloud.architectures)
    return Surroundings(
        cloud=cloud.name,
        region=cloud.region,
        image=image,
        subnets=subnets,
        types=types,
        offerings=offerings,
        callers=callers,
        groups=groups,
        newest_base=newest_base(image, ec2),
    )


def find_subnets(options: LaunchOptions, ec2: LookUps) -> tuple[Subnet, ...]:
    """The subnets that may be launched into: there is at least one."""
    found = ec2.subnets(vpc_id=options.vpc_id, subnet_id=options.subnet_id)
    if found:
        return found
    if options.subnet_id is not None:
        within = f" in the VPC {options.vpc_id}" if options.vpc_id is not None else " in this region"
        raise UsageError(
            f"--subnet-id {options.subnet_id}: there is no such subnet{within}",
            hint="aws ec2 describe-subnets lists them",
        )
    if options.vpc_id is not None:
        raise UsageError(
            f"--vpc-id {options.vpc_id}: there is no subnet in such a VPC here",
            hint="aws ec2 describe-subnets lists them",
        )
    raise BakeError(
        "there is no default subnet in this region",
        hint="aws ec2 create-default-vpc makes one; --subnet-id takes another",
    )


def find_images(options: LaunchOptions, ec2: LookUps) -> tuple[Image, ...]:
    """The image that was asked for, or all that were baked here, the newest first."""
    if options.ami is not None:
        return (ec2.image(options.ami),)
    return ec2.find_images(owners=["self"], filters={f"tag:{Tag.MANAGED}": "true", "state": "available"})


def find_callers(options: LaunchOptions, caller: Callable[[], str]) -> tuple[str, ...]:
    """Who may reach SSH on the head: whom the user names, else this machine; nobody if nothing is opened."""
    if options.way in (Connect.SSM, Connect.EICE):
        return ()
    return options.cidr or (caller(),)


def find_groups(options: LaunchOptions, ec2: LookUps) -> tuple[SecurityGroup, ...]:
    """The user's own group that the nodes shall be in as well, if one was named."""
    name, group_id = options.security_group, options.security_group_id
    if name is None and group_id is None:
        return ()
    found = ec2.named_groups(name=name, group_id=group_id)
    if not found:
        flag = f"--security-group {name}" if group_id is None else f"--security-group-id {group_id}"
        raise UsageError(
            f"{flag}: there is no such group in this region",
            hint="leave it out: the cluster has a group of its own in any case",
        )
    return found


def choose_image(images: tuple[Image, ...], instance_type: InstanceType, *, asked: bool) -> Image:
    """The image asked for, else the newest one that was baked here, was proved and runs on the type."""
    if not asked:
        return fingerprint.newest_proved(images, instance_type)
    (image,) = images
    if image.state != "available":
        raise BakeError(f"the image {image.id} is {image.state}, not available")
    return image


def newest_base(image: Image, ec2: LookUps) -> str | None:
    """The newest of Debian's images like the image's base; ``None`` where that is not to be known."""
    names = fingerprint.base_names(image)
    if names is None:
        return None
    filters = {"name": names, "architecture": image.architecture, "state": "available"}
    try:
        found = ec2.find_images(owners=[DEBIAN_ACCOUNT], filters=filters)
    except BakeError:
        return None  # it is for a hint alone
    return found[0].name if found else None
