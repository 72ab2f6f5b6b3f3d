"""Candidates for placement, best first; processes and threads of a worker node."""

from dataclasses import replace

import pytest

from dask_bake.errors import BakeError, UsageError
from dask_bake.launch.placement import WorkerLayout, find_candidates, in_order, least_nodes, worker_layout
from dask_bake.models.cloud import Connect
from dask_bake.models.ec2 import InstanceType, Subnet
from dask_bake.options.launch import LaunchOptions

BIG = InstanceType("m6i.2xlarge", 8, ("x86_64",), 32768)
OLD = InstanceType("m5.2xlarge", 8, ("x86_64",), 32768)
SMALL = InstanceType("m6i.large", 2, ("x86_64",), 8192)
MAC = InstanceType("mac2.metal", 8, ("arm64_mac",), 16384, can_be_spot=False)
A = Subnet("subnet-a", "vpc-1", "us-east-1a", 100)
B = Subnet("subnet-b", "vpc-1", "us-east-1b", 100)
C = Subnet("subnet-c", "vpc-1", "us-east-1c", 100)
HERE = (A, B, C)
KINDS = (BIG, OLD, SMALL, MAC)
EVERYWHERE = frozenset((kind.name, subnet.zone) for kind in KINDS for subnet in HERE)


def found(subnets=HERE, offerings=EVERYWHERE, **options):
    """Return the candidates as zone, types of the head, types of the workers, market."""
    return [
        (
            candidate.subnet.zone[-1],
            "|".join(kind.name for kind in candidate.head_types),
            "|".join(kind.name for kind in candidate.worker_types),
            str(candidate.market),
        )
        for candidate in find_candidates(LaunchOptions(**options), subnets, KINDS, offerings)
    ]


def test_every_zone_is_a_candidate_in_alphabetical_order():
    assert found() == [(zone, "m6i.2xlarge", "m6i.2xlarge", "on-demand") for zone in "abc"]


def test_only_the_given_zones_are_candidates_in_the_given_order():
    assert [candidate[0] for candidate in found(zone=("us-east-1c", "us-east-1a"))] == ["c", "a"]


def test_a_candidate_has_the_types_that_its_zone_offers_in_the_given_order():
    offerings = EVERYWHERE - {("m6i.2xlarge", "us-east-1a"), ("m5.2xlarge", "us-east-1b")}

    assert found(type=("m6i.2xlarge", "m5.2xlarge"), head_type=("m6i.large",), offerings=offerings) == [
        ("a", "m6i.large", "m5.2xlarge", "on-demand"),
        ("b", "m6i.large", "m6i.2xlarge", "on-demand"),
        ("c", "m6i.large", "m6i.2xlarge|m5.2xlarge", "on-demand"),
    ]


def test_head_and_workers_are_in_one_zone():
    only = frozenset(
        {("m6i.large", "us-east-1a"), ("m6i.2xlarge", "us-east-1b"), ("m6i.large", "us-east-1b")}
    )

    assert found(head_type=("m6i.large",), offerings=only) == [("b", "m6i.large", "m6i.2xlarge", "on-demand")]


def test_spot_in_every_zone_precedes_on_demand_in_any():
    assert [(candidate[0], candidate[3]) for candidate in found(spot_with_fallback=True)] == [
        *((zone, "spot") for zone in "abc"),
        *((zone, "on-demand") for zone in "abc"),
    ]
    assert {candidate[3] for candidate in found(spot=True)} == {"spot"}


def test_a_type_that_is_not_offered_on_spot_is_a_candidate_on_demand_only():
    assert found(type=("mac2.metal", "m5.2xlarge"), spot_with_fallback=True, zone=("us-east-1a",)) == [
        ("a", "mac2.metal|m5.2xlarge", "m5.2xlarge", "spot"),
        ("a", "mac2.metal|m5.2xlarge", "mac2.metal|m5.2xlarge", "on-demand"),
    ]


def test_of_the_subnets_of_a_zone_the_one_with_most_free_addresses_is_chosen():
    roomy = Subnet("subnet-a2", "vpc-1", "us-east-1a", 200)

    assert in_order(LaunchOptions(), (roomy, A, B)) == (roomy, B)


def test_public_subnets_are_preferred_except_for_a_private_cluster():
    closed = Subnet("subnet-x", "vpc-1", "us-east-1a", 200, is_public=False)
    private = LaunchOptions(private=True, connect=Connect.EICE)

    assert in_order(LaunchOptions(), (A, closed, B)) == (A, B)
    assert in_order(private, (A, closed, B)) == (closed,)
    assert in_order(private, (A, B)) == (A, B)
    assert in_order(LaunchOptions(), (closed,)) == (closed,)


def test_subnets_without_enough_free_addresses_are_skipped():
    assert [candidate[0] for candidate in found((replace(A, free_addresses=3), B))] == ["b"]


def refusal(error, **arguments):
    with pytest.raises(error) as caught:
        found(**arguments)
    return caught.value.message, caught.value.hint


def test_a_zone_without_a_subnet_is_refused_with_the_zones_that_have_one():
    assert refusal(UsageError, zone=("us-east-1f",)) == (
        "--zone us-east-1f: there is no subnet to launch into there",
        "there is us-east-1a, us-east-1b, us-east-1c",
    )


def test_too_few_free_addresses_are_refused_with_their_number():
    assert refusal(BakeError, subnets=(replace(A, free_addresses=3), replace(B, free_addresses=2))) == (
        "--count 4 needs as many free addresses, but subnet-a in us-east-1a has 3",
        "take fewer nodes, or name a larger subnet with --subnet-id",
    )


def test_types_that_no_zone_offers_are_refused_with_the_zones():
    assert refusal(BakeError, offerings=frozenset()) == (
        "--type m6i.2xlarge is not available in us-east-1a, us-east-1b, us-east-1c",
        "take another --type, or another --region",
    )


def test_types_that_only_another_zone_offers_are_refused_with_that_zone():
    only = frozenset({("m6i.2xlarge", "us-east-1b")})

    assert refusal(BakeError, offerings=only, zone=("us-east-1a",)) == (
        "--type m6i.2xlarge is not available in us-east-1a",
        "--zone us-east-1b offers these types",
    )


def test_types_that_no_zone_offers_together_are_refused():
    apart = frozenset({("m6i.large", "us-east-1a"), ("m6i.2xlarge", "us-east-1b")})

    assert refusal(BakeError, offerings=apart, head_type=("m6i.large",)) == (
        "--head-type m6i.large with --type m6i.2xlarge is not available in us-east-1a, us-east-1b,"
        " us-east-1c",
        "take another --type, or another --region",
    )


@pytest.mark.parametrize(
    ("nprocs", "nthreads", "vcpus", "used"),
    [
        (1, None, 8, WorkerLayout(1, 8)),
        (8, None, 8, WorkerLayout(8, 1)),
        (2, 1, 8, WorkerLayout(2, 1)),
        (None, None, 2, WorkerLayout(2, 1)),
        (None, None, 8, WorkerLayout(4, 2)),
        (None, None, 96, WorkerLayout(12, 8)),
        (16, None, 8, WorkerLayout(16, 1)),
    ],
)
def test_processes_and_threads_follow_from_the_options_or_dask_s_defaults(nprocs, nthreads, vcpus, used):
    kind = InstanceType("m6i.any", vcpus, ("x86_64",))

    assert worker_layout(LaunchOptions(nprocs=nprocs, nthreads=nthreads), kind) == used


def test_the_default_processes_and_threads_are_those_of_dask():
    from distributed.deploy.utils import nprocesses_nthreads

    for vcpus in (1, 2, 4, 8, 16, 36, 48, 64, 96, 128, 192):
        kind = InstanceType("m6i.any", vcpus, ("x86_64",))
        used = worker_layout(LaunchOptions(nprocs=None), kind)
        assert (used.nprocs, used.nthreads) == nprocesses_nthreads(vcpus)


@pytest.mark.parametrize(("least", "nodes"), [(None, 3), (1, 1), (4, 1), (5, 2), (12, 3)])
def test_min_workers_is_rounded_up_to_whole_nodes(least, nodes):
    options = LaunchOptions(count=4, nprocs=4, min_workers=least)

    assert least_nodes(options, BIG) == nodes


def test_min_workers_above_the_maximum_means_all_nodes():
    options = LaunchOptions(count=4, nprocs=None, min_workers=1000)

    assert least_nodes(options, BIG) == 3
