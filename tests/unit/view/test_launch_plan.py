"""A launch plan as text."""

from dask_bake.view.launch_plan import plan_view
from fakes import a_plan
from rendering import rendered


def test_a_plan_shows_each_call_and_the_user_data_of_each_role():
    text = rendered(plan_view(a_plan()))

    for words in ("1. CreateSecurityGroup", "5. RunInstances", "#cloud-config", "10.0.0.0 stands for"):
        assert words in text
