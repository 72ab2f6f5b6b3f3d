"""What options and look-ups make impossible is said before anything is made, by the look-ups themselves."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from dask_bake.errors import BakeError, UsageError
from dask_bake.hints import complete
from dask_bake.launch import preflight
from dask_bake.launch.discovery import look_around
from dask_bake.launch.quotas import quota_code
from dask_bake.models.cloud import Connect, Market
from dask_bake.models.ec2 import Image, InstanceType, PlacementGroup, SecurityGroup, Subnet
from dask_bake.models.resources import QUIET
from dask_bake.models.tags import Tag, Verified
from dask_bake.options.launch import LaunchOptions
from fakes import CLOUD, IMAGE, TYPES, FakeLookUps, a_cluster, a_plan

BAKED: Image = replace(
    IMAGE, root_size=10, tags=((Tag.MANAGED, "true"), (Tag.USER, "admin"), (Tag.VERIFIED, Verified.YES))
)
ARM = InstanceType("m6g.2xlarge", 8, ("arm64",), 32768)
MAC = InstanceType("mac2.metal", 8, ("x86_64",), 32768, can_be_spot=False)
OURS = SecurityGroup("sg-11111111", "ours", "vpc-1")
THEIRS = SecurityGroup("sg-22222222", "theirs", "vpc-2")


def around(caller="192.0.2.7/32", found=None, **options):
    """What is found for a launch with these options, in a region of which ``found`` says more."""
    there = {"images": {"self": (BAKED,)}, "types": (*TYPES, ARM, MAC), **(found or {})}
    return look_around(LaunchOptions(**options), CLOUD, FakeLookUps(**there), lambda: caller)


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
        "--spot: AWS does not sell mac2.metal on spot",
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


@pytest.mark.parametrize(("options", "found", "sentence"), REFUSALS)
def test_what_is_not_there_or_does_not_go_together_is_refused_with_a_way_out(options, found, sentence):
    with pytest.raises(BakeError) as caught:
        around(found=found, **options)

    assert caught.value.message == sentence
    assert caught.value.hint or "pending" in sentence


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
def test_what_is_there_or_not_to_be_known_is_no_obstacle(options, found):
    assert around(found=found, **options).image == BAKED


def test_of_groups_of_one_name_the_one_in_the_launchs_vpc_is_joined():
    namesake = replace(OURS, id="sg-55555555", vpc_id="vpc-2")

    found = around(found={"security_groups": (namesake, OURS)}, security_group="ours")

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


def notes(**options):
    return tuple(map(complete, preflight.notes(a_plan(**options))))


@pytest.mark.parametrize(
    ("options", "note"),
    [
        (
            {"nprocs": 9},
            "9 worker processes of 1 threads share the 8 virtual CPUs of a m6i.2xlarge.",
        ),
        (
            {"nprocs": 2, "nthreads": 5},
            "2 worker processes of 5 threads share the 8 virtual CPUs of a m6i.2xlarge.",
        ),
        (
            {"nprocs": 8, "memory_limit": "5GiB"},
            "8 worker processes may use 5GiB of memory each, and a m6i.2xlarge has 32 GiB.",
        ),
        (
            {"nprocs": 8, "memory_limit": "0.2"},
            "8 worker processes may use 0.2 of memory each, and a m6i.2xlarge has 32 GiB.",
        ),
        (
            {"nprocs": 8, "memory_limit": "5e9"},
            "8 worker processes may use 5e9 of memory each, and a m6i.2xlarge has 32 GiB.",
        ),
    ],
)
def test_more_than_a_node_has_is_a_warning_for_a_type_that_it_is_more_for(options, note):
    assert notes(**options) == (note,)


@pytest.mark.parametrize(
    "options",
    [
        {"nprocs": 8, "nthreads": 1, "memory_limit": "4GiB"},
        {"nprocs": 8, "memory_limit": "auto"},
        {"nprocs": 8, "memory_limit": "0"},
        {"nprocs": 5, "memory_limit": "0.2"},
        {"dask": False},
    ],
    ids=str,
)
def test_what_fits_is_no_warning(options):
    assert notes(**options) == ()


@pytest.mark.parametrize(
    ("age", "state", "sentence"),
    [
        (QUIET, "terminated", "cluster dask has ended by itself; its security groups still hold the name"),
        (QUIET, None, "cluster dask has ended by itself; its security groups still hold the name"),
        (QUIET, "running", "a cluster named dask already exists, or is being launched"),
        (QUIET / 2, None, "a cluster named dask already exists, or is being launched"),
    ],
)
def test_a_name_that_only_groups_hold_is_of_a_cluster_that_has_ended(age, state, sentence):
    cluster = a_cluster()
    tags = (*cluster.groups[0].tags, (Tag.CREATED, (datetime.now(UTC) - age).isoformat()))
    found = {
        "security_groups": (replace(cluster.groups[0], tags=tags),),
        "there": tuple(replace(node, state=state) for node in cluster.nodes if state),
    }

    with pytest.raises(BakeError, match=sentence):
        around(found=found)


def test_that_nothing_ends_nodes_which_are_told_nothing_is_said():
    assert notes(provision=False, name="bare") == (
        "Nothing ends these nodes by itself (--no-provision): dask-bake down bare does.",
    )


def test_each_type_that_the_workers_may_have_is_looked_at():
    said = notes(nprocs=8, type=("m6i.2xlarge", "m6i.large"))

    assert said == ("8 worker processes of 1 threads share the 2 virtual CPUs of a m6i.large.",)


def test_a_type_that_is_not_sold_on_spot_is_said_to_be_tried_on_demand():
    plan = a_plan(spot_with_fallback=True, type=("m6i.2xlarge", "mac2.metal"))
    around = replace(plan.surroundings, types=(*TYPES, MAC))

    assert preflight.notes(replace(plan, surroundings=around)) == (
        "AWS does not sell mac2.metal on spot: it is tried on demand.",
    )


def test_a_head_whose_console_is_read_late_is_said_to_need_longer_and_a_worker_is_not():
    types = tuple(replace(kind, has_live_console=kind.name != "m5.2xlarge") for kind in TYPES)

    def said(**options):
        plan = a_plan(**options)
        return preflight.notes(replace(plan, surroundings=replace(plan.surroundings, types=types)))

    assert said(head_type=("m5.2xlarge",)) == (
        "m5.2xlarge is not of the Nitro system: its console is read only minutes late, and a launch with"
        " such a head may need a longer --timeout.",
    )
    assert said(type=("m5.2xlarge",), head_type=("m6i.large",)) == ()


def test_a_subnet_of_the_users_choice_that_seems_private_is_said_to_be():
    subnet = Subnet("subnet-9", "vpc-1", "us-east-1a", 100, is_public=False)

    assert notes(subnets=(subnet,), vpc_id="vpc-1")[0].startswith(
        "The subnet subnet-9 gives its instances no public addresses of itself;"
    )
    assert notes(subnets=(subnet,)) == ()
    assert notes(subnets=(subnet,), vpc_id="vpc-1", private=True, connect=Connect.EICE) == ()


def test_a_public_address_is_not_how_a_private_head_sees_this_machine():
    plan = a_plan(private=True, connect=Connect.DIRECT)

    def said(caller, **options):
        around = replace(plan.surroundings, callers=(caller,))
        return preflight.notes(replace(plan, surroundings=around, **options))

    assert said("8.8.8.8/32")[0].startswith("SSH on the head is opened to 8.8.8.8/32,")
    assert said("10.9.0.1/32") == ()
    chosen = replace(plan.options, cidr=("8.8.8.8/32",))
    assert said("8.8.8.8/32", options=chosen) == ()


def test_user_data_that_is_too_long_is_refused_before_any_call(tmp_path):
    path = tmp_path / "extra.yaml"
    plan = a_plan(user_data=_written(path, f"#cloud-config\nfinal_message: {'x' * 20000}\n"))
    handout = replace(plan.handout, extra=path.read_text())

    with pytest.raises(UsageError, match=r"user-data.* 16384"):
        preflight.check_user_data(replace(plan, handout=handout))


def _written(path, text):
    path.write_text(text)
    return path


def test_the_check_of_user_data_looks_at_every_role_and_type():
    rendered = []

    class Watched(type(a_plan())):
        def head(self, place, kind, *rest):
            rendered.append(("head", kind.name))

        def workers(self, place, kind, address, *rest):
            rendered.append(("worker", kind.name, address))

    plan = a_plan(type=("m6i.2xlarge", "m5.2xlarge"), head_type=("m6i.large",))
    preflight.check_user_data(Watched(plan.options, plan.surroundings, "launch1", plan.handout))

    assert sorted(rendered) == [
        ("head", "m6i.large"),
        ("worker", "m5.2xlarge", "255.255.255.255"),
        ("worker", "m6i.2xlarge", "255.255.255.255"),
    ]
