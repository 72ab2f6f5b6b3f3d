"""Look-ups of everything that a launch depends on: concurrent and read-only."""

import difflib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from dask_bake.clusters.inventory import assemble, with_end_reason
from dask_bake.clusters.ownership import current_owner
from dask_bake.ec2.protocols import LaunchQueries
from dask_bake.errors import BakeError, UsageError
from dask_bake.images import compatibility
from dask_bake.launch import quotas
from dask_bake.models.cloud import DEBIAN_ACCOUNT, Cloud, Connect
from dask_bake.models.cluster import Cluster
from dask_bake.models.ec2 import (
    ConnectEndpoint,
    Image,
    InstanceType,
    PlacementGroup,
    Quota,
    SecurityGroup,
    Subnet,
)
from dask_bake.models.owner import NOBODY, Owner
from dask_bake.models.tags import Tag
from dask_bake.options.launch import LaunchOptions
from dask_bake.system.concurrency import gather

MOST_FAMILIES = 10
"""Most families of instance types in a hint."""


@dataclass(frozen=True)
class Discovery:
    """Results of the look-ups, not yet checked.

    Args:
        types: every instance type that the options name.
        offerings: pairs of a type and a zone that offers it.
        images: the image that the options name, or the account's baked images in the region, newest first.
        callers: address blocks and ids of groups that may reach SSH on the head; empty if no port is opened.
        user_groups: security groups with the name, or the id, of the user's own group.
        source_groups: security groups that ``--cidr`` names.
        namesake: the cluster that has the name already, or what is left of it; nodes are looked up in any
            case, as without the permission to list them no clean-up is complete.
        quotas: quotas that the types count against; ``None`` for a quota that cannot be read.
        has_profile: ``None`` if the instance profile cannot be read.
        owner: the owner of what the launch makes.
    """

    types: tuple[InstanceType, ...]
    offerings: frozenset[tuple[str, str]]
    subnets: tuple[Subnet, ...]
    images: tuple[Image, ...]
    callers: tuple[str, ...]
    user_groups: tuple[SecurityGroup, ...] = ()
    source_groups: tuple[SecurityGroup, ...] = ()
    namesake: Cluster | None = None
    endpoints: tuple[ConnectEndpoint, ...] = ()
    quotas: tuple[Quota | None, ...] = ()
    has_key_pair: bool = True
    has_profile: bool | None = True
    placement_group: PlacementGroup | None = None
    owner: Owner = NOBODY


def discover(
    options: LaunchOptions, cloud: Cloud, ec2: LaunchQueries, caller: Callable[[], str]
) -> Discovery:
    """Return everything that a launch with these options depends on.

    Args:
        caller: returns this machine's public address as a CIDR block with one address.
    """
    types = tuple(dict.fromkeys((*options.head_types, *options.type)))
    questions: dict[str, Callable[[], Any]] = {
        "types": lambda: find_types(options, ec2, types),
        "offerings": lambda: ec2.offerings(types),
        "subnets": lambda: find_subnets(options, ec2),
        "images": lambda: find_images(options, ec2),
        "callers": lambda: find_callers(options, caller),
        "user_groups": lambda: find_groups(options, ec2),
        "source_groups": lambda: find_sources(options, ec2),
        "namesake": lambda: find_namesake(options.name, cloud, ec2),
        "quotas": lambda: gather(*(partial(ec2.quota, code) for code in quotas.codes(options))),
        "owner": lambda: current_owner(ec2),
        **_only_if_named(options, ec2),
    }
    return Discovery(**dict(zip(questions, gather(*questions.values()), strict=True)))


def _only_if_named(options: LaunchOptions, ec2: LaunchQueries) -> dict[str, Callable[[], Any]]:
    """Return the look-ups that only some options need."""
    questions: dict[str, Callable[[], Any]] = {}
    key, profile, group = options.keyname, options.iaminstance_name, options.placement_group
    if options.transport is Connect.EICE:
        questions["endpoints"] = ec2.connect_endpoints
    if key is not None:
        questions["has_key_pair"] = lambda: ec2.has_key_pair(key)
    if profile is not None:
        questions["has_profile"] = lambda: ec2.has_instance_profile(profile)
    if group is not None:
        questions["placement_group"] = lambda: ec2.placement_group(group)
    return questions


def find_namesake(name: str, cloud: Cloud, ec2: LaunchQueries) -> Cluster | None:
    """Return the cluster that has the name already; ``None`` if there is no security group of it."""
    tags = {Tag.MANAGED: "true", Tag.CLUSTER: name}
    groups, nodes = gather(lambda: ec2.groups(tags), lambda: ec2.nodes(tags))
    return with_end_reason(ec2, assemble(name, nodes, groups, cloud)) if groups else None


def find_types(
    options: LaunchOptions, ec2: LaunchQueries, names: tuple[str, ...]
) -> tuple[InstanceType, ...]:
    """Return the instance types with these names; the error for an unknown type names its option."""
    try:
        return ec2.instance_types(names)
    except UsageError as error:
        for name in names:
            if re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", error.message):
                raise no_such_type(options, name, similar_types(ec2, name)) from error
        raise


def no_such_type(options: LaunchOptions, name: str, similar: Sequence[str] = ()) -> UsageError:
    """Return the error for a type that EC2 does not know; it names the option with the type."""
    flag = "--type" if name in options.type else "--head-type"
    are_types = any("." in each for each in similar)
    hint = f"did you mean {' or '.join(similar)}?" if are_types else "such as m6i.2xlarge"
    if similar and not are_types:
        hint += f"; of similar families the region has {', '.join(similar)}"
    return UsageError(f"{flag} {name}: there is no such type in this region", hint=hint)


def similar_types(ec2: LaunchQueries, name: str) -> list[str]:
    """Return types of the region with similar names, else the newest families; empty if EC2 lists none."""
    family = re.match(r"([a-z]+)[0-9]+", name)
    if family is None:
        return []
    try:
        offered = {kind for kind, _ in ec2.offerings((f"{family[1]}*",))}
    except BakeError:  # only a hint needs them
        return []
    kinds = sorted(kind for kind in offered if "*" not in kind)
    related = [kind for kind in kinds if kind.startswith(family[0])]
    of_family = [kind for kind in related if kind.startswith(f"{name}.")][:3]
    if similar := of_family or difflib.get_close_matches(name, related, cutoff=0.4):
        return similar
    generation = re.compile(rf"{family[1]}([0-9]+)")
    families = {kind.partition(".")[0] for kind in kinds}
    generations = [(-int(found[1]), each) for each in families if (found := generation.match(each))]
    return [each for _, each in sorted(generations)][:MOST_FAMILIES]


def find_subnets(options: LaunchOptions, ec2: LaunchQueries) -> tuple[Subnet, ...]:
    """Return the subnet that the options name, else the subnets of their VPC, else the default subnets."""
    vpc_id = options.vpc_id if options.subnet_id is None else None
    return ec2.subnets(vpc_id=vpc_id, subnet_id=options.subnet_id)


def find_images(options: LaunchOptions, ec2: LaunchQueries) -> tuple[Image, ...]:
    """Return the image that the options name, else the account's baked images, newest first."""
    if options.ami is not None:
        return (ec2.image(options.ami),)
    return ec2.find_images(owners=["self"], filters={f"tag:{Tag.MANAGED}": "true", "state": "available"})


def find_callers(options: LaunchOptions, caller: Callable[[], str]) -> tuple[str, ...]:
    """Return the sources of SSH to the head: ``--cidr``, else this machine; empty if no port is opened."""
    if options.transport in (Connect.SSM, Connect.EICE):
        return ()
    return options.cidr or (caller(),)


def find_groups(options: LaunchOptions, ec2: LaunchQueries) -> tuple[SecurityGroup, ...]:
    """Return the security groups with the name, or the id, of the user's own group."""
    name, group_id = options.security_group, options.security_group_id
    if name is None and group_id is None:
        return ()
    return ec2.named_groups(name=name, group_id=group_id)


def find_sources(options: LaunchOptions, ec2: LaunchQueries) -> tuple[SecurityGroup, ...]:
    """Return the security groups that ``--cidr`` names."""
    ids = [source for source in options.cidr if source.startswith("sg-")]
    return tuple(group for each in ids for group in ec2.named_groups(group_id=each))


def newest_base(image: Image, ec2: LaunchQueries) -> str | None:
    """Return the newest Debian image like the image's base; ``None`` if it cannot be found."""
    names = compatibility.base_names(image)
    if names is None:
        return None
    filters = {"name": names, "architecture": image.architecture, "state": "available"}
    try:
        found = ec2.find_images(owners=[DEBIAN_ACCOUNT], filters=filters)
    except BakeError:
        return None  # The result is used only for a warning.
    return found[0].name if found else None
