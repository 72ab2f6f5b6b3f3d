"""A plan is decided from options and look-ups alone."""

import pytest

from dask_bake.models import Role, Tag
from dask_bake.plan import client_token, threads_per_worker
from fakes import a_plan


def test_the_head_and_the_workers_are_one_call_each():
    plan = a_plan(count=9, nprocs=8)

    assert (plan.head("sg-1").count, plan.workers("10.0.0.4", "sg-1").count) == (1, 8)
    assert (plan.workers_expected, plan.nthreads) == (64, 1)


def test_everything_carries_the_tags_that_it_is_found_by():
    plan = a_plan(name="taxi")

    assert dict(plan.workers("10.0.0.4", "sg-1").tags) == {
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
    token = client_token("launch1", "us-east-1a", Role.HEAD, batch=0)

    assert token == client_token("launch1", "us-east-1a", Role.HEAD, batch=0)
    assert len(token) == 64
    others = {
        client_token("launch2", "us-east-1a", Role.HEAD, batch=0),
        client_token("launch1", "us-east-1b", Role.HEAD, batch=0),
        client_token("launch1", "us-east-1a", Role.WORKER, batch=0),
        client_token("launch1", "us-east-1a", Role.HEAD, batch=1),
    }
    assert len(others | {token}) == 5


def test_a_plan_lists_the_calls_that_make_the_cluster():
    operations = [call.operation for call in a_plan().calls()]

    assert operations == [
        "CreateSecurityGroup",
        "AuthorizeSecurityGroupIngress",
        "RunInstances",
        "RunInstances",
    ]
