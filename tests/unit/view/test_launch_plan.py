"""A launch plan as text."""

from dask_bake.view.launch_plan import plan_view
from fakes import a_plan
from rendering import rendered


def test_a_plan_shows_each_call_and_the_user_data_of_each_role():
    text = rendered(plan_view(a_plan()))

    for words in ("1. CreateSecurityGroup", "5. RunInstances", "#cloud-config", "10.0.0.0 stands for"):
        assert words in text


def test_a_plan_begins_with_the_size_of_the_cluster():
    lines = rendered(plan_view(a_plan(count=2, nprocs=1))).splitlines()

    assert " ".join(lines[:2]).startswith(
        "dask: 1 head node (m6i.2xlarge) and 1 worker node (m6i.2xlarge) of 1 process with 8 threads each, in"
    )
