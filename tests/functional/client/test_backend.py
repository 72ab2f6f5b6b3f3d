"""The cloud as a ``BakeCluster`` uses it, on moto's EC2."""

from dataclasses import dataclass
from functools import partial

import pytest

from dask_bake.client.backend import CloudBackend
from dask_bake.client.interrupt import Interrupt
from dask_bake.client.lifecycle import Place, launch_with
from dask_bake.ec2 import api
from dask_bake.errors import BakeError, NoClusterError, UsageError
from dask_bake.events import ignore
from dask_bake.options.launch import LaunchOptions
from fakes import AllRegistered, Ec2WithHostKey
from moto_launches import answering_cloud, baked, everything

OPTIONS = LaunchOptions(name="mine", count=3, nprocs=2)


@dataclass(frozen=True)
class FakePlace(Place):
    """A place whose cloud is moto's."""

    opened: tuple[object, object] | None = None

    def open(self, notify, *, start):
        return self.opened


@dataclass
class FakeLink:
    """A connection to the head, without SSH."""

    cluster: object

    def close(self):
        pass


def reach(cluster, _cloud, _ec2, *, allow_mismatch):
    return FakeLink(cluster)


def out_of_reach(cluster, _cloud, _ec2, *, allow_mismatch):
    raise BakeError("no SSH connection")


@pytest.fixture
def place(aws):
    baked(aws)
    with answering_cloud() as cloud:
        yield FakePlace(opened=(cloud, Ec2WithHostKey(api.connect(cloud, ignore))))


def a_backend(place, options=OPTIONS, *, reach=reach, resize=None, **others):
    edge = place.opened[1]
    launch = partial(launch_with, make_connection=lambda *_: AllRegistered(edge))
    return CloudBackend(
        "mine", place, options, resize=resize, quiet=True, launch=launch, reach=reach, **others
    )


def test_it_launches_and_ends_the_cluster(aws, place):
    backend = a_backend(place)
    link = backend.start(Interrupt())
    assert (link.cluster.name, len(link.cluster.nodes), link.cluster.nprocs) == ("mine", 3, 2)

    backend.end(Interrupt())
    assert everything(aws) == []
    backend.end(Interrupt())  # nothing is left to end


def test_a_cluster_that_cannot_be_reached_after_its_launch_is_ended(aws, place):
    with pytest.raises(BakeError, match="no SSH connection"):
        a_backend(place, reach=out_of_reach).start(Interrupt())
    assert everything(aws) == []


def test_a_cluster_that_was_found_and_cannot_be_reached_stays(aws, place):
    a_backend(place).start(Interrupt())
    before = everything(aws)
    with pytest.raises(BakeError, match="no SSH connection"):
        a_backend(place, None, reach=out_of_reach).start(Interrupt())
    assert everything(aws) == before


def test_an_interrupt_while_it_starts_leaves_nothing(aws, place):
    interrupt = Interrupt()

    class Interrupting(AllRegistered):
        def registered(self, head):
            interrupt.request()
            return {}

    launch = partial(launch_with, make_connection=lambda *_: Interrupting(place.opened[1]))
    backend = CloudBackend("mine", place, OPTIONS, quiet=True, launch=launch, reach=reach)
    with pytest.raises(KeyboardInterrupt):
        backend.start(interrupt)
    assert everything(aws) == []


def test_a_later_cluster_of_the_name_is_neither_scaled_nor_ended(aws, place):
    first, later = a_backend(place), a_backend(place)
    first.start(Interrupt())
    found = a_backend(place, None)
    found.start(Interrupt())
    found.end(Interrupt())  # as somebody else's `dask-bake down` does
    later.start(Interrupt())
    there = everything(aws)

    first.end(Interrupt())
    with pytest.raises(NoClusterError, match="has ended, and another was launched by its name since"):
        first.scale(4, Interrupt())
    assert everything(aws) == there


def test_the_name_of_another_cluster_is_refused_with_a_hint(aws, place):
    a_backend(place).start(Interrupt())
    before = everything(aws)
    with pytest.raises(BakeError, match="a cluster named mine already exists"):
        a_backend(place).start(Interrupt())
    assert everything(aws) == before


def test_a_cluster_that_does_not_exist_cannot_be_found(place):
    with pytest.raises(UsageError, match="there is no cluster named mine") as raised:
        a_backend(place, None).start(Interrupt())
    assert isinstance(raised.value, NoClusterError)


def test_scaling_gets_the_cluster_as_it_is_now(aws, place):
    asked = []

    def resize(cluster, cloud, ec2, *, count, first, notify, sleep):
        asked.append((cluster.name, len(cluster.nodes), count, tuple(first)))
        return cluster

    backend = a_backend(place, resize=resize)
    backend.start(Interrupt())
    assert backend.scale(5, Interrupt(), first=("10.0.0.9",)) == 3
    assert asked == [("mine", 3, 5, ("10.0.0.9",))]
