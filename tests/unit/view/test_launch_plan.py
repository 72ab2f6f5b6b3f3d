"""A launch plan as text."""

import json
from dataclasses import replace

from dask_bake.launch.dry_run import NOT_ASKED, ask_permissions, planned_calls
from dask_bake.launch.pricing import Prices, cost
from dask_bake.view.cluster_json import plan_document
from dask_bake.view.launch_plan import plan_view
from fakes import IMAGE, FakeQueries, a_plan, in_a_group
from rendering import a_console, rendered, written


def test_a_plan_shows_each_call_and_the_user_data_of_each_role():
    text = rendered(plan_view(a_plan()))

    for words in ("1. CreateSecurityGroup", "5. RunInstances", "#cloud-config", "10.0.0.0 stands for"):
        assert words in text


def test_a_plan_begins_with_the_size_of_the_cluster():
    lines = rendered(plan_view(a_plan(count=2, nprocs=1))).splitlines()

    assert " ".join(lines[:2]).startswith(
        "dask: 1 head node (m6i.2xlarge) and 1 worker node (m6i.2xlarge) of 1 process with 8 threads each, in"
    )


SIZED = replace(IMAGE, root_size=73)
ALL = Prices(head=0.4, worker=0.1, disk=0.1, address=0.005)


def test_a_plan_shows_candidates_permissions_and_cost():
    plan = in_a_group(a_plan(image=SIZED, spot_with_fallback=True, type=("m6i.2xlarge", "m5.2xlarge")))
    console = a_console(width=100)
    console.print(
        plan_view(plan, ask_permissions(plan, FakeQueries(denied=("RunInstances",))), cost(plan, ALL))
    )
    lines = [line.rstrip() for line in written(console).splitlines()]

    places = lines.index("Tried in this order")
    types = "head m6i.2xlarge or m5.2xlarge, workers m6i.2xlarge or m5.2xlarge"
    assert lines[places + 1 : places + 5] == [
        f"1. us-east-1a, subnet-1: {types} on spot",
        f"2. us-east-1b, subnet-2: {types} on spot",
        f"3. us-east-1a, subnet-1: {types}",
        f"4. us-east-1b, subnet-2: {types}",
    ]
    permissions = lines.index("Permissions, as reported by EC2")
    assert [line.split() for line in lines[permissions + 1 : permissions + 3]] == [
        ["CreateSecurityGroup", "its", "group", "yes"],
        ["AuthorizeSecurityGroupIngress", "its", "group", "?", *NOT_ASKED.split()],
    ]
    denied = "RunInstances the head no ask for that permission"
    assert " ".join(lines[permissions + 3].split()) == denied
    assert "Cost: $0.65 an hour" in lines
    assert "workers, m6i.2xlarge on spot  2 ×  $0.10 an hour" in lines  # noqa: RUF001 - a sign


def test_private_keys_are_masked_in_a_displayed_plan():
    pem = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"
    plan = a_plan()
    secret = replace(plan, bootstrap=replace(plan.bootstrap, public_key=pem))

    assert "c2VjcmV0" in str(planned_calls(secret))
    assert "c2VjcmV0" not in rendered(plan_view(secret)) + json.dumps(plan_document(secret))
    assert "a private key, not shown" in json.dumps(plan_document(secret))
