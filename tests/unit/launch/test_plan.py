"""A plan is decided from options and look-ups alone."""

import pytest

from dask_bake.launch.placement import Shape, threads_per_worker
from dask_bake.launch.plan import client_token
from dask_bake.models.cloud import Market, Role
from dask_bake.models.tags import Tag
from fakes import TYPE, a_plan, head_of, workers_of


def test_the_head_and_the_workers_are_one_call_each():
    plan = a_plan(count=9, nprocs=8)

    assert (head_of(plan).count, workers_of(plan).count) == (1, 8)
    assert plan.shape(TYPE) == Shape(8, 1)


def test_everything_carries_the_tags_that_it_is_found_by():
    plan = a_plan(name="taxi")

    assert dict(workers_of(plan).tags) == {
        "Name": "taxi-worker",
        Tag.MANAGED: "true",
        Tag.CLUSTER: "taxi",
        Tag.LAUNCH: "launch1",
        Tag.ROLE: "worker",
        Tag.NPROCS: "2",
        Tag.NTHREADS: "4",
        Tag.USER: "admin",
    }
    assert dict(plan.group_tags)[Tag.LAUNCH] == "launch1"


@pytest.mark.parametrize(("vcpus", "nprocs", "threads"), [(8, 8, 1), (8, 2, 4), (8, 3, 2), (2, 8, 1)])
def test_a_worker_process_has_its_share_of_the_cpus_and_at_least_one(vcpus, nprocs, threads):
    assert threads_per_worker(vcpus, nprocs) == threads


def test_a_client_token_is_the_same_for_the_same_request_and_no_other():
    request = ("launch1", "us-east-1a", Role.WORKER, "m6i.large", Market.SPOT)
    token = client_token(*request)

    assert token == client_token(*request)
    assert len(token) == 64
    others = {
        client_token("launch2", *request[1:]),
        client_token("launch1", "us-east-1b", *request[2:]),
        client_token(*request[:2], Role.HEAD, *request[3:]),
        client_token(*request[:3], "m5.large", Market.SPOT),
        client_token(*request[:4], Market.ON_DEMAND),
    }
    assert len(others | {token}) == 6


def test_a_plan_lists_the_calls_that_make_the_cluster():
    operations = [call.operation for call in a_plan().calls()]

    assert operations == [
        *2 * ("CreateSecurityGroup", "AuthorizeSecurityGroupIngress"),
        "RunInstances",
        "RunInstances",
    ]
