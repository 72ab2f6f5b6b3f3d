"""Launches in a fake cloud, by a clock that only sleeping moves."""

from dask_bake.events import Event
from dask_bake.launch.executor import launch
from dask_bake.launch.plan import LaunchPlan
from dask_bake.models.cluster import Cluster
from fakes import FakeClock, FakeCloud, FakeHeadConnection, a_plan


def start(
    cloud: FakeCloud,
    connection: FakeHeadConnection | None = None,
    *,
    plan: LaunchPlan | None = None,
    events: list[Event] | None = None,
    **options: object,
) -> Cluster:
    """Launch the plan, or a plan with these options."""
    clock = FakeClock()
    return launch(
        plan or a_plan(**options),
        cloud,
        connection or FakeHeadConnection(cloud),
        notify=(events if events is not None else []).append,
        clock=clock,
        sleep=clock.sleep,
    )
