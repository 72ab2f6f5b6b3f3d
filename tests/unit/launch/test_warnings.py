"""Warnings about options that are valid but probably a mistake."""

from dataclasses import replace

import pytest

from dask_bake.hints import complete
from dask_bake.launch import warnings
from dask_bake.models.cloud import Connect
from dask_bake.models.ec2 import InstanceType, Subnet
from fakes import TYPES, a_plan

MAC = InstanceType("mac2.metal", 8, ("x86_64",), 32768, can_be_spot=False)


def notes(**options):
    return tuple(map(complete, warnings.notes(a_plan(**options))))


@pytest.mark.parametrize(
    ("options", "note"),
    [
        (
            {"nprocs": 9},
            "9 worker processes of 1 thread share the 8 virtual CPUs of a m6i.2xlarge.",
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
def test_more_threads_or_memory_than_a_node_has_is_a_warning(options, note):
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
def test_processes_that_fit_are_no_warning(options):
    assert notes(**options) == ()


def test_no_provision_is_a_warning_that_nothing_ends_the_nodes():
    assert notes(provision=False, name="bare") == (
        "These nodes do not shut themselves down (--no-provision): dask-bake down bare ends them.",
    )


def test_each_worker_type_is_checked():
    found = notes(nprocs=8, type=("m6i.2xlarge", "m6i.large"))

    assert found == ("8 worker processes of 1 thread share the 2 virtual CPUs of a m6i.large.",)


def test_a_type_that_is_not_offered_on_spot_is_a_warning():
    plan = a_plan(spot_with_fallback=True, type=("m6i.2xlarge", "mac2.metal"))
    around = replace(plan.target, types=(*TYPES, MAC))

    assert warnings.notes(replace(plan, target=around)) == (
        "AWS does not offer mac2.metal as Spot Instances: trying On-Demand Instances.",
    )


def test_a_head_without_live_console_output_is_a_warning():
    types = tuple(replace(kind, has_live_console=kind.name != "m5.2xlarge") for kind in TYPES)

    def notes_of(**options):
        plan = a_plan(**options)
        return warnings.notes(replace(plan, target=replace(plan.target, types=types)))

    assert notes_of(head_type=("m5.2xlarge",)) == (
        "m5.2xlarge is not a Nitro instance: EC2 shows its console minutes late, so this launch may need a"
        " longer --timeout.",
    )
    assert notes_of(type=("m5.2xlarge",), head_type=("m6i.large",)) == ()


def test_a_private_subnet_for_public_nodes_is_a_warning():
    subnet = Subnet("subnet-9", "vpc-1", "us-east-1a", 100, is_public=False)

    assert notes(subnets=(subnet,), vpc_id="vpc-1")[0].startswith(
        "The subnet subnet-9 does not assign public addresses by default,"
    )
    assert notes(subnets=(subnet,)) == ()
    assert notes(subnets=(subnet,), vpc_id="vpc-1", private=True, connect=Connect.EICE) == ()


def test_a_public_caller_address_for_a_private_head_is_a_warning():
    plan = a_plan(private=True, connect=Connect.DIRECT)

    def notes_of(caller, **options):
        around = replace(plan.target, callers=(caller,))
        return warnings.notes(replace(plan, target=around, **options))

    assert notes_of("8.8.8.8/32")[0].startswith("SSH to the head is open to 8.8.8.8/32,")
    assert notes_of("10.9.0.1/32") == ()
    chosen = replace(plan.options, cidr=("8.8.8.8/32",))
    assert notes_of("8.8.8.8/32", options=chosen) == ()
