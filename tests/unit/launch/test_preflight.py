"""Launches that cannot succeed are refused before anything is created."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from dask_bake.errors import BakeError
from dask_bake.launch.quotas import quota_code
from dask_bake.models.cloud import Market
from dask_bake.models.ec2 import Image, InstanceType, PlacementGroup, SecurityGroup
from dask_bake.models.resources import GRACE_PERIOD
from dask_bake.models.tags import Tag, Verified
from dask_bake.options.launch import LaunchOptions
from fakes import CLOUD, IMAGE, TYPES, FakeQueries, a_cluster, a_target

BAKED: Image = replace(
    IMAGE, root_size=10, tags=((Tag.MANAGED, "true"), (Tag.USER, "admin"), (Tag.VERIFIED, Verified.YES))
)
ARM = InstanceType("m6g.2xlarge", 8, ("arm64",), 32768)
MAC = InstanceType("mac2.metal", 8, ("x86_64",), 32768, can_be_spot=False)
OURS = SecurityGroup("sg-11111111", "ours", "vpc-1")
THEIRS = SecurityGroup("sg-22222222", "theirs", "vpc-2")


def the_target(caller="192.0.2.7/32", found=None, **options):
    """Return the target of a launch with these options; ``found`` are further resources of the region."""
    there = {"images": {"self": (BAKED,)}, "types": (*TYPES, ARM, MAC), **(found or {})}
    return a_target(LaunchOptions(**options), CLOUD, FakeQueries(**there), caller)


REFUSALS = [
    (
        {"type": ("m0.huge",)},
        {},
        "--type m0.huge: there is no such type in this region",
    ),
    (
        {"type": ("m6i.2xlarge",), "head_type": ("m6i.2xlarge", "m6i.2x")},
        {},
        "--head-type m6i.2x: there is no such type in this region",
    ),
    (
        {"ami": IMAGE.id, "type": ("m6g.2xlarge",)},
        {},
        "the image ami-0123456789abcdef0 is x86_64, the type m6g.2xlarge is arm64",
    ),
    (
        {"ami": IMAGE.id},
        {"images": {"self": (replace(BAKED, state="pending"),)}},
        "the image ami-0123456789abcdef0 is pending, not available",
    ),
    (
        {"volume_size": 8},
        {},
        "--volume-size is 8 GiB, and the image ami-0123456789abcdef0 needs 10",
    ),
    (
        {"subnet_id": "subnet-9"},
        {},
        "--subnet-id subnet-9: there is no such subnet in this region",
    ),
    (
        {"subnet_id": "subnet-1", "vpc_id": "vpc-2"},
        {},
        "--subnet-id subnet-1 is in the VPC vpc-1, and --vpc-id is vpc-2",
    ),
    (
        {"vpc_id": "vpc-9"},
        {},
        "--vpc-id vpc-9: there is no subnet in such a VPC here",
    ),
    (
        {},
        {"all_subnets": ()},
        "there is no default subnet in this region",
    ),
    (
        {"security_group": "nobodys"},
        {"security_groups": (OURS, THEIRS)},
        "--security-group nobodys: there is no such group in this region",
    ),
    (
        {"security_group": "theirs"},
        {"security_groups": (OURS, THEIRS)},
        "--security-group theirs is in the VPC vpc-2, and the launch is in vpc-1",
    ),
    (
        {"security_group_id": "sg-22222222"},
        {"security_groups": (OURS, THEIRS)},
        "--security-group-id sg-22222222 is in the VPC vpc-2, and the launch is in vpc-1",
    ),
    (
        {"cidr": ("sg-33333333",)},
        {"security_groups": (OURS, THEIRS)},
        "--cidr sg-33333333: there is no such group in this region",
    ),
    (
        {"keyname": "mine"},
        {"key_names": ("yours",)},
        "--keyname mine: there is no such key pair in this region",
    ),
    (
        {"iaminstance_name": "s3"},
        {"profiles": ("s4",)},
        "--iaminstance-name s3: there is no such instance profile",
    ),
    (
        {"placement_group": "near"},
        {},
        "--placement-group near: there is no such group in this region",
    ),
    (
        {"placement_group": "near"},
        {"placement_groups": {"near": PlacementGroup("near", "deleting", "cluster")}},
        "--placement-group near is deleting, not available",
    ),
    (
        {"placement_group": "apart", "count": 8},
        {"placement_groups": {"apart": PlacementGroup("apart", "available", "spread")}},
        "--placement-group apart spreads its instances, at most 7 in a zone, and --count is 8",
    ),
    (
        {"spot": True, "type": ("m6i.2xlarge", "mac2.metal")},
        {},
        "--spot: AWS does not offer mac2.metal as Spot Instances",
    ),
    (
        {"nprocs": None, "count": 3, "min_workers": 9},
        {},
        "--min-workers is 9, and --count 3 of m6i.2xlarge makes 8",
    ),
    (
        {"count": 9},
        {"quotas": {"L-1216C47A": 64.0}},
        "--count 9 asks for 72 vCPUs at once, and the account's quota 'Quota L-1216C47A' (L-1216C47A) is 64",
    ),
    (
        {"count": 9, "min_workers": 8},
        {"quotas": {"L-1216C47A": 64.0}},
        "--count 9 with --min-workers 8 asks for 72 vCPUs at once, and the account's quota 'Quota L-1216C47A'"
        " (L-1216C47A) is 64",
    ),
    (
        {"count": 9, "spot": True},
        {"quotas": {"L-1216C47A": 64.0, "L-34B43A08": 32.0}},
        "--count 9 asks for 64 vCPUs at once, and the account's quota 'Quota L-34B43A08' (L-34B43A08) is 32",
    ),
    (
        {"count": 9, "spot_with_fallback": True},
        {"quotas": {"L-1216C47A": 64.0, "L-34B43A08": 32.0}},
        "--count 9 asks for 72 vCPUs at once, and the account's quota 'Quota L-1216C47A' (L-1216C47A) is 64",
    ),
    (
        {"name": "taxi"},
        {
            "security_groups": (
                SecurityGroup("sg-4", "elsewhere", "vpc-9", ((Tag.CLUSTER, "taxi"), (Tag.MANAGED, "true"))),
            )
        },
        "a cluster named taxi already exists, or is being launched",
    ),
]


@pytest.mark.parametrize(("options", "found", "message"), REFUSALS)
def test_missing_or_contradictory_resources_are_refused_with_a_hint(options, found, message):
    with pytest.raises(BakeError) as caught:
        the_target(found=found, **options)

    assert caught.value.message == message
    assert caught.value.hint or "pending" in message


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"security_group": "ours"}, {"security_groups": (OURS, THEIRS)}),
        ({"cidr": ("sg-22222222",)}, {"security_groups": (OURS, THEIRS)}),
        ({"keyname": "mine"}, {"key_names": ("mine",)}),
        ({"iaminstance_name": "s3"}, {"profiles": ("s3",)}),
        ({"iaminstance_name": "s3"}, {"profiles": None}),
        ({"placement_group": "p"}, {"placement_groups": {"p": PlacementGroup("p", "available", "spread")}}),
        ({"volume_size": 10}, {}),
        ({"count": 8}, {"quotas": {"L-1216C47A": 64.0}}),
        ({"count": 9}, {}),
        ({"count": 9, "nprocs": 8, "min_workers": 8}, {"quotas": {"L-1216C47A": 16.0}}),
        ({"count": 9, "spot": True}, {"quotas": {"L-1216C47A": 8.0, "L-34B43A08": 64.0}}),
        ({"count": 9, "spot_with_fallback": True}, {"quotas": {"L-1216C47A": 72.0, "L-34B43A08": 8.0}}),
        ({"spot_with_fallback": True, "type": ("mac2.metal",)}, {}),
    ],
    ids=str,
)
def test_existing_or_unreadable_resources_are_accepted(options, found):
    assert the_target(found=found, **options).image == BAKED


def test_of_security_groups_with_one_name_the_one_in_the_launch_s_vpc_is_used():
    namesake = replace(OURS, id="sg-55555555", vpc_id="vpc-2")

    found = the_target(found={"security_groups": (namesake, OURS)}, security_group="ours")

    assert found.groups == (OURS,)


@pytest.mark.parametrize(
    ("name", "on_demand", "spot"),
    [
        ("m6i.large", "L-1216C47A", "L-34B43A08"),
        ("im4gn.large", "L-1216C47A", "L-34B43A08"),
        ("t3.micro", "L-1216C47A", "L-34B43A08"),
        ("g5.xlarge", "L-DB2E81BA", "L-3819A6DF"),
        ("vt1.3xlarge", "L-DB2E81BA", "L-3819A6DF"),
        ("p4d.24xlarge", "L-417A185B", "L-7212CCBC"),
        ("p5.48xlarge", "L-417A185B", "L-C4BD4855"),
        ("x2idn.32xlarge", "L-7295265B", "L-E3A00192"),
        ("f2.6xlarge", "L-74FC7D96", "L-88CF9481"),
        ("inf2.xlarge", "L-1945791B", "L-B5D1601B"),
        ("trn1.2xlarge", "L-2C3B7624", "L-6B0D517C"),
        ("dl1.24xlarge", "L-6E869C2A", "L-85EED4F7"),
        ("hpc7a.12xlarge", "L-F7808C92", None),
        ("u-6tb1.56xlarge", "L-43DA4232", None),
        ("mac2.metal", None, None),
    ],
)
def test_an_instance_counts_against_the_quota_of_its_family(name, on_demand, spot):
    assert (quota_code(name, Market.ON_DEMAND), quota_code(name, Market.SPOT)) == (on_demand, spot)


IDLE_END = "DASK-BAKE-END idle: no client, task or session for 30 min"


def with_the_name(*, age: timedelta, state: str | None, console: str = "", reason: str = ""):
    """Return the resources of a region in which a cluster named dask began that long ago."""
    cluster = a_cluster()
    tags = (*cluster.groups[0].tags, (Tag.CREATED, (datetime.now(UTC) - age).isoformat()))
    nodes = [replace(node, state=state, state_reason=reason) for node in cluster.nodes if state]
    return {
        "security_groups": (replace(cluster.groups[0], tags=tags),),
        "there": nodes,
        "consoles": {nodes[0].id: console} if nodes else {},
    }


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (partial(with_the_name, age=GRACE_PERIOD, state="terminated"), ""),
        (partial(with_the_name, age=GRACE_PERIOD, state=None), ""),
        (
            partial(with_the_name, age=GRACE_PERIOD / 5, state="terminated", console=IDLE_END),
            "no client, task or session for 30 min",
        ),
    ],
    ids=["ended", "only its groups", "its head printed that it ends"],
)
def test_a_cluster_that_has_ended_does_not_reserve_its_name(found, reason):
    ended = the_target(found=found()).ended

    assert (ended.name, ended.end_reason) == ("dask", reason)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (partial(with_the_name, age=GRACE_PERIOD, state="running"), "a cluster named dask already exists"),
        (partial(with_the_name, age=GRACE_PERIOD / 2, state=None), "a cluster named dask already exists"),
        (
            partial(with_the_name, age=GRACE_PERIOD / 2, state="terminated"),
            "a cluster named dask already exists",
        ),
        (
            partial(
                with_the_name,
                age=GRACE_PERIOD / 2,
                state="terminated",
                reason="Client.InstanceInitiatedShutdown: Instance",
            ),
            "cluster dask shut itself down; it cannot be cleared away yet",
        ),
    ],
    ids=["up", "starting", "its head was given up", "its head powered itself off"],
)
def test_a_launch_that_may_be_under_way_reserves_its_name(found, message):
    with pytest.raises(BakeError, match=message):
        the_target(found=found())
