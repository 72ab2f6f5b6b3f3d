"""The cloud as a ``BakeCluster`` uses it, on moto's EC2."""

from dataclasses import dataclass, field
from functools import partial

import pytest

from dask_bake import clouds
from dask_bake.client.backend import CloudBackend, resize
from dask_bake.client.interrupt import Interrupt
from dask_bake.client.lifecycle import Place, launch_with
from dask_bake.clusters.inventory import find
from dask_bake.ec2 import api
from dask_bake.errors import BakeError, NoClusterError, UsageError
from dask_bake.events import ignore
from dask_bake.models.tags import Tag
from dask_bake.options.launch import LaunchOptions
from fake_local_cloud import DEBIAN, left
from fakes import AllRegistered, Ec2WithHostKey
from isolation import KEY_PAIR
from moto_launches import answering_cloud, baked, everything
from scaling_fakes import FakeRetirement

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


@dataclass
class Owned:
    """A cluster of a head and two worker nodes, whose scheduler is pretended."""

    server: object
    backend: CloudBackend
    edge: Ec2WithHostKey
    place: FakePlace
    retirement: FakeRetirement = field(default_factory=FakeRetirement)

    @property
    def cluster(self):
        return find(self.edge, self.place.opened[0], "mine")

    @property
    def numbers(self):
        return [node.index for node in self.cluster.nodes if node.is_up]

    def resize(self, cluster, cloud, ec2, **keywords):
        """Call the function that changes clusters, with a pretended head."""
        return resize(
            cluster,
            cloud,
            ec2,
            **keywords,
            make_connection=lambda *_: AllRegistered(self.edge),
            make_retirement=lambda *_: self.retirement,
        )


@pytest.fixture
def owned(cloud, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    there = clouds.local_cloud(cloud.url, KEY_PAIR, None)
    edge = Ec2WithHostKey(api.connect(there, ignore))
    place = FakePlace(opened=(there, edge))
    options = LaunchOptions(name="mine", count=3, nprocs=2, ami=DEBIAN.id, allow_mismatch=True)
    owned = Owned(cloud, a_backend(place, options), edge, place)
    owned.backend.resize = owned.resize
    owned.backend.start(Interrupt())
    owned.retirement.tasks = {node.private_address: 0 for node in owned.cluster.workers}
    cloud.forget_requests()
    return owned


def refused(owned, count, error=UsageError):
    """Return why the cluster keeps its size; check that it does, and that nothing is left half-made."""
    before = (owned.numbers, owned.cluster.size, sorted(left(owned.server)))
    with pytest.raises(error) as caught:
        owned.backend.scale(count, Interrupt())
    owned.server.clear_faults()
    assert (owned.numbers, owned.cluster.size, sorted(left(owned.server))) == before
    return caught.value


def asked_for(owned):
    """Return the requests that have changed anything."""
    changing = ("RunInstances", "TerminateInstances", "CreateTags", "CreateSecurityGroup")
    return [each["action"] for each in owned.server.requests_for() if each["action"] in changing]


def test_a_larger_number_adds_nodes(owned):
    assert owned.backend.scale(5, Interrupt()) == 5

    assert (owned.numbers, owned.cluster.size) == ([0, 1, 2, 3, 4], 5)
    assert asked_for(owned).count("RunInstances") == 1


def test_a_smaller_number_drains_and_ends_the_nodes_that_are_named_first(owned):
    one, two = (node.private_address for node in owned.cluster.workers)
    owned.retirement.tasks = {one: 1, two: 0}

    assert owned.backend.scale(2, Interrupt(), first=(one,)) == 2

    assert (owned.numbers, owned.cluster.size) == ([0, 2], 2)
    assert (owned.retirement.forgotten, owned.retirement.closed) == ((one,), True)


def test_the_same_number_changes_nothing(owned):
    assert owned.backend.scale(3, Interrupt()) == 3

    assert (owned.numbers, asked_for(owned), owned.retirement.calls) == ([0, 1, 2], [], [])


def test_another_s_cluster_is_not_changed(owned):
    nodes = [node.id for node in owned.cluster.nodes]
    owned.edge.tag(nodes, ((Tag.OWNER, "somebody else"), (Tag.OWNER_ARN, "arn:aws:iam::1:user/else")))
    owned.server.forget_requests()

    error = refused(owned, 5)
    assert "somebody else" in error.message
    assert asked_for(owned) == []


def test_a_cluster_that_is_gone_is_not_made_again(owned):
    found = owned.cluster
    owned.backend.end(Interrupt())
    owned.server.forget_requests()

    with pytest.raises(NoClusterError):
        owned.backend.scale(5, Interrupt())
    with pytest.raises(NoClusterError):  # it went after it was looked up
        owned.resize(found, *owned.place.opened, count=5, first=(), notify=ignore, sleep=Interrupt().sleep)
    assert asked_for(owned) == []


@pytest.mark.parametrize("count", [1, 0, -3])
def test_a_cluster_keeps_a_worker_node(owned, count):
    error = refused(owned, count)
    assert str(count) in error.message
    assert "dask-bake down" in error.hint
    assert asked_for(owned) == []


def test_a_number_above_the_quota_leaves_the_old_size(owned):
    owned.server.set_quotas(L_1216C47A=40)

    assert "L-1216C47A" in refused(owned, 9, BakeError).message
    assert "RunInstances" not in asked_for(owned)


def test_a_quota_that_ec2_enforces_leaves_the_old_size(owned):
    owned.server.fault("error", "RunInstances", code="VcpuLimitExceeded", times=0)

    refused(owned, 5, BakeError)


def test_an_interrupt_while_nodes_join_leaves_the_old_size(owned):
    before, interrupt = sorted(left(owned.server)), Interrupt()

    class Interrupting(AllRegistered):
        def registered(self, head):
            interrupt.request()
            return {}

    owned.backend.resize = partial(
        resize,
        make_connection=lambda *_: Interrupting(owned.edge),
        make_retirement=lambda *_: owned.retirement,
    )
    with pytest.raises(KeyboardInterrupt):
        owned.backend.scale(5, interrupt)
    assert (owned.numbers, owned.cluster.size, sorted(left(owned.server))) == ([0, 1, 2], 3, before)
