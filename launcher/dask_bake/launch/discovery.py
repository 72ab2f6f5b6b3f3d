"""What a launch finds where it is to happen: everything looked up at once, nothing made."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

from dask_bake.clusters import naming
from dask_bake.clusters.ssh_access import choose_endpoint
from dask_bake.ec2.protocols import LookUps
from dask_bake.errors import BakeError, UsageError
from dask_bake.images import compatibility
from dask_bake.launch import preflight, quotas
from dask_bake.launch.plan import Surroundings
from dask_bake.models.cloud import DEBIAN_ACCOUNT, Cloud, Connect
from dask_bake.models.ec2 import Image, InstanceType, SecurityGroup, Subnet
from dask_bake.models.resources import only_names
from dask_bake.models.tags import Tag
from dask_bake.options.launch import LaunchOptions
from dask_bake.system.concurrency import together


def look_around(
    options: LaunchOptions, cloud: Cloud, ec2: LookUps, caller: Callable[[], str]
) -> Surroundings:
    """What the plan needs to know; a request that cannot be carried out here fails here.

    Args:
        caller: asks for this machine's address, as a block of one.
    """
    names = tuple(dict.fromkeys((*options.head_types, *options.type)))
    quota_codes = quotas.codes(options)
    types, offerings, subnets, images, callers, named, sources, taken, endpoints, *limits = together(
        lambda: find_types(options, ec2, names),
        lambda: ec2.offerings(names),
        lambda: find_subnets(options, ec2),
        lambda: find_images(options, ec2),
        lambda: find_callers(options, caller),
        lambda: find_groups(options, ec2),
        lambda: find_sources(options, ec2),
        lambda: ec2.groups({Tag.MANAGED: "true", Tag.CLUSTER: options.name}),
        lambda: ec2.connect_endpoints() if options.way is Connect.EICE else None,
        *(partial(ec2.quota, code) for code in quota_codes),
        *named_things(options, ec2),
    )
    if taken:
        raise name_taken(options.name, taken, ec2)
    preflight.check_types(options, types)
    by_name = {kind.name: kind for kind in types}
    image = choose_image(images, by_name[options.type[0]], asked=options.ami is not None)
    for kind in types:
        compatibility.check_architecture(image, kind, cloud.architectures)
    preflight.check_disk(options, image)
    preflight.check_sources(options, sources)
    endpoint = None if endpoints is None else choose_endpoint(endpoints, subnets[0])
    quotas.check_quotas(options, types, limits[: len(quota_codes)])
    return Surroundings(
        cloud=cloud.name,
        region=cloud.region,
        image=image,
        subnets=subnets,
        types=types,
        offerings=offerings,
        callers=callers if endpoint is None else tuple(sorted(endpoint.group_ids)),
        groups=preflight.check_groups(options, named, subnets[0].vpc_id),
        newest_base=newest_base(image, ec2),
        endpoint=None if endpoint is None else endpoint.id,
    )


def name_taken(name: str, groups: tuple[SecurityGroup, ...], ec2: LookUps) -> BakeError:
    """The sentence for a name that these groups hold: of a cluster, or of one that is no more."""
    nodes = {Tag.MANAGED: "true", Tag.CLUSTER: name}
    if only_names(groups, datetime.now(UTC)) and not any(node.is_live for node in ec2.nodes(nodes)):
        return naming.ended_by_itself(name)
    return naming.already_there(name)


def named_things(options: LaunchOptions, ec2: LookUps) -> tuple[Callable[[], None], ...]:
    """A question for each thing that the user names and no plan need know; it fails if that is not there."""
    questions: list[Callable[[], None]] = []
    key, profile, group = options.keyname, options.iaminstance_name, options.placement_group
    if key is not None:
        questions.append(lambda: preflight.check_key_pair(options, is_there=ec2.has_key_pair(key)))
    if profile is not None:
        questions.append(lambda: preflight.check_profile(options, is_there=ec2.has_instance_profile(profile)))
    if group is not None:
        questions.append(lambda: preflight.check_placement_group(options, ec2.placement_group(group)))
    return tuple(questions)


def find_types(options: LaunchOptions, ec2: LookUps, names: tuple[str, ...]) -> tuple[InstanceType, ...]:
    """The types of these names; the error for one that EC2 does not know says where it came from."""
    try:
        return ec2.instance_types(names)
    except UsageError as error:
        for name in names:
            if re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", error.message):
                raise preflight.no_such_type(options, name) from error
        raise


def find_subnets(options: LaunchOptions, ec2: LookUps) -> tuple[Subnet, ...]:
    """The subnets that may be launched into: there is at least one."""
    vpc_id, subnet_id = options.vpc_id, options.subnet_id
    found = ec2.subnets(vpc_id=vpc_id if subnet_id is None else None, subnet_id=subnet_id)
    if not found:
        raise _no_subnet(options)
    if vpc_id not in (None, found[0].vpc_id):
        raise UsageError(
            f"--subnet-id {subnet_id} is in the VPC {found[0].vpc_id}, and --vpc-id is {vpc_id}",
            hint="a subnet says which VPC it is in: leave --vpc-id out",
        )
    return found


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
    """Groups of the name, or the id, of the user's own that the nodes shall be in as well."""
    name, group_id = options.security_group, options.security_group_id
    if name is None and group_id is None:
        return ()
    return ec2.named_groups(name=name, group_id=group_id)


def find_sources(options: LaunchOptions, ec2: LookUps) -> tuple[SecurityGroup, ...]:
    """The groups that --cidr names."""
    ids = [source for source in options.cidr if source.startswith("sg-")]
    return tuple(group for each in ids for group in ec2.named_groups(group_id=each))


def choose_image(images: tuple[Image, ...], instance_type: InstanceType, *, asked: bool) -> Image:
    """The image asked for, else the newest one that was baked here, was proved and runs on the type."""
    if not asked:
        return compatibility.newest_proved(images, instance_type)
    (image,) = images
    if image.state != "available":
        raise BakeError(
            f"the image {image.id} is {image.state}, not available",
            hint="wait until it is, or leave --ami out for the newest that was baked",
        )
    return image


def newest_base(image: Image, ec2: LookUps) -> str | None:
    """The newest of Debian's images like the image's base; ``None`` where that is not to be known."""
    names = compatibility.base_names(image)
    if names is None:
        return None
    filters = {"name": names, "architecture": image.architecture, "state": "available"}
    try:
        found = ec2.find_images(owners=[DEBIAN_ACCOUNT], filters=filters)
    except BakeError:
        return None  # it is for a hint alone
    return found[0].name if found else None
