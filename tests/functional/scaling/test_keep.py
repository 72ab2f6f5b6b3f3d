"""Keeping a cluster's size on a pretended cloud: what EC2 ends is replaced, and nothing else."""

from datetime import UTC, datetime, timedelta

import pytest

from dask_bake.clusters.teardown import take_down
from dask_bake.events import ignore
from dask_bake.iam.grants import Extra, Purpose
from dask_bake.models.tags import Tag
from dask_bake.scaling.keep import LOOK_INTERVAL, RETRY, Keeper
from dask_bake.scaling.scale import Scaling
from fakes import AllRegistered
from iam_actions import permitted
from scaling_owner import Owner


@pytest.fixture
def owner(cloud, monkeypatch, tmp_path, capsys) -> Owner:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    owner = Owner(cloud)
    owner.launch(count=4, keep_size=True)
    capsys.readouterr()
    return owner


class Kept(Keeper):
    """A keeper without a thread, on the owner's clock; it has its warnings."""

    def __init__(self, owner: Owner) -> None:
        self.owner, self.warnings = owner, []
        self.before_change = lambda: None
        super().__init__(
            owner.cluster,
            owner.there,
            owner.edge,
            self.warnings.append,
            make_scaling=self.scaling,
            clock=owner.clock,
            now=lambda: self.begun + timedelta(seconds=owner.clock() - self.offset),
        )
        self.begun, self.offset = datetime.now(UTC), owner.clock()

    def scaling(self, name, count, cloud, ec2, *, timeout, sleep) -> Scaling:
        self.before_change()
        return self.owner.scaling(count, timeout=timeout)

    def looks(self, number: int = 2) -> bool:
        """Look so many times, and return whether the cluster is still there."""
        found = [self.look_later() for _ in range(number)]
        return found[-1]

    def look_later(self) -> bool:
        self.owner.clock.sleep(LOOK_INTERVAL)
        return self.look()


def end(owner, cloud, *indices: int) -> None:
    """Have EC2 end worker nodes."""
    ids = [node.id for node in owner.cluster.nodes if node.index in indices and node.is_up]
    cloud.ec2.terminate_instances(InstanceIds=ids)
    for each in ids:
        cloud.until({"InstanceId": each}, "terminated")


def test_nodes_that_ended_are_replaced_by_one_request_and_the_size_stays(owner, cloud):
    keeper = Kept(owner)
    assert keeper.looks()
    assert owner.numbers == [0, 1, 2, 3]
    cloud.forget_requests()

    end(owner, cloud, 1, 3)
    assert keeper.looks()

    assert (owner.numbers, owner.cluster.size) == ([0, 2, 4, 5], 4)
    assert len(cloud.requests_for("RunInstances")) == 1
    assert [dict(node.tags).get(Tag.REPLACEMENT) for node in owner.cluster.nodes] == [None, None, "1", "1"]
    assert keeper.looks()
    assert (len(cloud.requests_for("RunInstances")), keeper.warnings) == (1, [])


def test_it_needs_the_actions_that_the_policy_adds_for_scale(owner, cloud):
    end(owner, cloud, 2)
    keeper = Kept(owner)
    cloud.forget_requests()
    assert keeper.looks()

    used = {f"{request['service']}:{request['action']}" for request in cloud.requests_for()}
    assert "ec2:RunInstances" in used
    assert used - {"sts:GetCallerIdentity"} <= permitted(Purpose.LAUNCH, Extra.SCALE)


def test_all_worker_nodes_at_once_are_replaced(owner, cloud):
    end(owner, cloud, 1, 2, 3)
    assert Kept(owner).looks()
    assert owner.numbers == [0, 4, 5, 6]


def test_two_keepers_at_once_replace_a_node_once(owner, cloud):
    one, other = Kept(owner), Kept(owner)
    end(owner, cloud, 2)
    one.look_later()
    one.before_change = lambda: other.looks(2)
    one.look_later()

    assert (owner.numbers, owner.cluster.size) == ([0, 1, 3, 4], 4)


def test_a_cluster_that_is_made_smaller_meanwhile_is_not_made_larger_again(owner, cloud):
    keeper = Kept(owner)
    end(owner, cloud, 3)
    keeper.look_later()
    keeper.before_change = lambda: owner.scaling(2).run()
    keeper.look_later()

    assert (len(owner.numbers), owner.cluster.size) == (2, 2)
    assert keeper.looks()
    assert (len(owner.numbers), keeper.warnings) == (2, [])


def test_after_down_nothing_is_started(owner, cloud):
    keeper = Kept(owner)
    end(owner, cloud, 3)
    keeper.look_later()
    keeper.before_change = lambda: take_down(
        owner.cluster,
        owner.edge,
        AllRegistered(owner.edge),
        notify=ignore,
        clock=owner.clock,
        sleep=owner.clock.sleep,
    )
    cloud.forget_requests()

    assert not keeper.looks()
    assert (cloud.requests_for("RunInstances"), keeper.warnings) == ([], [])


def test_a_cluster_without_a_head_gets_no_nodes(owner, cloud):
    end(owner, cloud, 0, 2)
    keeper = Kept(owner)
    cloud.forget_requests()
    keeper.looks(5)

    assert cloud.requests_for("RunInstances") == []


def test_a_node_that_ends_at_once_again_and_again_is_not_replaced_for_ever(owner, cloud):
    keeper = Kept(owner)
    for index in (3, 4, 5, 6):
        end(owner, cloud, index)
        owner.clock.sleep(200)
        keeper.looks(3)

    assert owner.numbers == [0, 1, 2]
    assert "at once 3 times" in " ".join(keeper.warnings)
    owner.clock.sleep(2 * 3600)
    keeper.looks(3)
    assert owner.numbers == [0, 1, 2, 7]


def test_missing_capacity_is_told_once_and_asked_for_more_and_more_rarely(owner, cloud):
    cloud.fault("capacity", times=0)
    end(owner, cloud, 2)
    keeper = Kept(owner)
    cloud.forget_requests()
    keeper.looks(2)
    first = len(cloud.requests_for("RunInstances"))
    keeper.looks(4)
    assert (len(cloud.requests_for("RunInstances")), len(keeper.warnings)) == (first, 1)
    assert "not replaced now" in keeper.warnings[0]

    cloud.clear_faults()
    owner.clock.sleep(RETRY)
    keeper.looks(1)
    assert len(owner.numbers) == 4


def test_nodes_that_do_not_join_are_ended_again(owner, cloud):
    class NoneRegistered(AllRegistered):
        def registered(self, head):
            return {}

    keeper = Kept(owner)
    keeper.make_scaling = lambda _name, count, *_, **_options: owner.scaling(
        count, connection=NoneRegistered, timeout=30
    )
    end(owner, cloud, 2)
    keeper.looks(2)

    assert (owner.numbers, owner.cluster.size, len(keeper.warnings)) == ([0, 1, 3], 4, 1)
