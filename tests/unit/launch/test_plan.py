"""A launch plan follows from options and discovery alone."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from dask_bake.errors import UsageError
from dask_bake.launch.dry_run import planned_calls
from dask_bake.launch.placement import WorkerLayout, threads_per_worker
from dask_bake.launch.plan import check_user_data, client_token
from dask_bake.models.cloud import Market, Role
from dask_bake.models.tags import Tag
from fakes import IMAGE, TYPE, a_plan, head_of, workers_of


def test_the_head_and_the_workers_are_one_call_each():
    plan = a_plan(count=9, nprocs=8)

    assert (head_of(plan).count, workers_of(plan).count) == (1, 8)
    assert plan.worker_layout(TYPE) == WorkerLayout(8, 1)


def test_every_resource_has_the_tags_it_is_found_by():
    plan = a_plan(name="taxi")

    assert dict(workers_of(plan).tags) == {
        "Name": "taxi-worker",
        Tag.MANAGED: "true",
        Tag.CLUSTER: "taxi",
        Tag.LAUNCH: "launch1",
        Tag.ROLE: "worker",
        Tag.COUNT: "3",
        Tag.FIRST_INDEX: "1",
        Tag.NPROCS: "2",
        Tag.NTHREADS: "4",
        Tag.USER: "admin",
    }
    assert dict(plan.group_tags)[Tag.LAUNCH] == "launch1"


def test_the_head_has_what_later_nodes_are_made_by():
    options = {"type": ("m6i.2xlarge", "m5.2xlarge"), "spot_with_fallback": True, "volume_size": 50}
    head = dict(head_of(a_plan(count=5, **options)).tags)

    assert {key: head[key] for key in (Tag.TYPES, Tag.SUBNETS, Tag.MARKET, Tag.DISK, Tag.NEXT_INDEX)} == {
        Tag.TYPES: "m6i.2xlarge m5.2xlarge",
        Tag.SUBNETS: "subnet-1 subnet-2",
        Tag.MARKET: "spot on-demand",
        Tag.DISK: "gp3 50 -",
        Tag.NEXT_INDEX: "5",
    }
    assert Tag.FIRST_INDEX not in head


def test_nodes_have_the_versions_that_a_client_has_to_have():
    image = replace(IMAGE, tags=((Tag.PYTHON, "3.11.2"), (Tag.DISTRIBUTED, "2026.8.0"), (Tag.NUMPY, "2.0.0")))

    tags = dict(head_of(a_plan(image=image)).tags)

    assert (tags[Tag.PYTHON], tags[Tag.DISTRIBUTED], Tag.NUMPY in tags) == ("3.11.2", "2026.8.0", False)


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
    operations = [call.operation for call in planned_calls(a_plan())]

    assert operations == [
        *2 * ("CreateSecurityGroup", "AuthorizeSecurityGroupIngress"),
        "RunInstances",
        "RunInstances",
    ]


def test_oversized_user_data_is_refused_before_any_request(tmp_path):
    path = tmp_path / "extra.yaml"
    plan = a_plan(user_data=_written(path, f"#cloud-config\nfinal_message: {'x' * 20000}\n"))
    bootstrap = replace(plan.bootstrap, extra=path.read_text())

    with pytest.raises(UsageError, match=r"user-data.* 16384"):
        check_user_data(replace(plan, bootstrap=bootstrap))


def _written(path, text):
    path.write_text(text)
    return path


def test_user_data_is_checked_for_every_role_and_type():
    rendered = []

    class Watched(type(a_plan())):
        def head(self, candidate, kind, *rest):
            rendered.append(("head", kind.name))

        def workers(self, candidate, kind, address, *rest):
            rendered.append(("worker", kind.name, address))

    plan = a_plan(type=("m6i.2xlarge", "m5.2xlarge"), head_type=("m6i.large",))
    check_user_data(Watched(plan.options, plan.target, "launch1", plan.bootstrap))

    assert sorted(rendered) == [
        ("head", "m6i.large"),
        ("worker", "m5.2xlarge", "255.255.255.255"),
        ("worker", "m6i.2xlarge", "255.255.255.255"),
    ]


NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ("2026-01-03T00:00:00+00:00", "1800")),
        ({"max_lifetime": 0, "idle_timeout": 0}, (None, "0")),
        ({"max_lifetime": 3600, "dask": False}, ("2026-01-02T13:00:00+00:00", "0")),
        ({"provision": False}, (None, "0")),
        ({"max_lifetime": 10**12}, (None, "1800")),
    ],
)
def test_the_head_is_tagged_with_the_limits_that_its_user_data_sets(options, expected):
    """A lifetime beyond the last year that there is has no tag."""
    plan = replace(a_plan(**options), begun=NOW)

    tags = dict(head_of(plan).tags)
    assert (tags.get(Tag.ENDS), tags[Tag.IDLE_TIMEOUT]) == expected
    assert not {Tag.ENDS, Tag.IDLE_TIMEOUT} & {*dict(workers_of(plan).tags)}


def test_all_resources_of_a_launch_are_tagged_with_its_start():
    began = replace(a_plan(), begun=NOW)

    for tags in (began.group_tags, head_of(began).tags, workers_of(began).tags):
        assert dict(tags)[Tag.CREATED] == "2026-01-02T12:00:00+00:00"
