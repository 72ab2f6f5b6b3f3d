"""An interrupt at any line of the launcher: what is left is named, or nothing is left."""

import pytest

from dask_bake.clusters.inventory import find
from dask_bake.clusters.teardown import take_down
from dask_bake.commands import clusters
from dask_bake.errors import BakeError, CommandInterruptedError
from dask_bake.launch.executor import launch
from fakes import CLOUD, FakeClock, FakeCloud, FakeHeadConnection, Fault, a_plan
from interrupts import message_of, unreported

pytestmark = pytest.mark.slow

ALL_OF_IT = ("whatever is tagged dask-bake:cluster=", "the cluster dask is running and costs money")


PLAN = a_plan()


def not_named(attempt) -> list[str]:
    """Return what is left that the command neither returned nor named."""
    message, left = message_of(attempt), attempt.cloud.left
    if message is None or any(each in message for each in ALL_OF_IT):
        return []
    return [each for each in left if each not in message]


FAILING = {
    "up": [],
    "quota": [Fault("run_instances", BakeError("no"), nth=2)],
    "interrupted": [Fault("run_instances", KeyboardInterrupt(), nth=2, after=True)],
}


class Launch:
    """A launch with the configured fault."""

    def __init__(self, why: str) -> None:
        self.cloud = FakeCloud(faults=list(FAILING[why]))

    def __call__(self) -> None:
        clock, connection = FakeClock(), FakeHeadConnection(self.cloud)
        launch(PLAN, self.cloud, connection, notify=[].append, clock=clock, sleep=clock.sleep)


class Down:
    """`dask-bake down` of a cluster."""

    def __init__(self) -> None:
        attempt = Launch("up")
        attempt()
        self.cloud, self.whole = attempt.cloud, attempt.cloud.left
        self.has_begun = self.is_untouched = False

    def __call__(self) -> None:
        clock, connection = FakeClock(), FakeHeadConnection(self.cloud)
        try:
            with clusters.nothing_ended("dask-bake down dask") as ending:
                self.has_begun = True
                cluster = find(self.cloud, CLOUD, "dask")
                take_down(cluster, self.cloud, connection, notify=ending.see, clock=clock, sleep=clock.sleep)
        except CommandInterruptedError:
            self.is_untouched = self.cloud.left == self.whole
            if not self.is_untouched:
                raise


@pytest.mark.parametrize("why", FAILING)
def test_an_interrupt_at_any_line_of_a_launch_reports_everything_that_is_left(why):
    assert unreported(lambda: Launch(why), not_named) == {}


def test_an_interrupt_at_any_line_of_down_reports_everything_that_is_left():
    def left(attempt: Down) -> list[str]:
        named = not_named(attempt)
        return named if attempt.has_begun and not attempt.is_untouched else []

    assert unreported(Down, left) == {}
