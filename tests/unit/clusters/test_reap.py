"""Removal of orphaned resources in several regions, though some cannot be removed."""

from dataclasses import dataclass, field

import pytest

from dask_bake.clusters import reap
from dask_bake.errors import BakeError, LeftoverError
from dask_bake.models.cloud import Role
from dask_bake.models.cluster import Node
from dask_bake.models.ec2 import SecurityGroup
from dask_bake.models.resources import Resource, ResourceKind
from fakes import FakeClock, FakeCloud, Fault, hint_of
from orphans import NOW, OLD, resource


@dataclass
class Region(FakeCloud):
    """A region in lists, with volumes and network interfaces."""

    loose: list[Resource] = field(default_factory=list)
    held: tuple[str, ...] = ()
    deleted: list[str] = field(default_factory=list)
    silent: bool = False

    def resources(self) -> tuple[Resource, ...]:
        if self.silent:
            raise BakeError("EC2 could not be reached")
        nodes = [
            Resource(ResourceKind.INSTANCE, node.id, node.tags, state=node.state, created=node.launched)
            for node in self.instances
        ]
        groups = [
            Resource(ResourceKind.GROUP, each.id, each.tags, name=each.name, created=OLD)
            for each in self.security_groups
        ]
        return (*nodes, *groups, *self.loose)

    def delete_volume(self, volume_id: str) -> None:
        self._delete(volume_id)

    def delete_network_interface(self, interface_id: str) -> None:
        self._delete(interface_id)

    def delete_security_group(self, group_id: str) -> bool:
        if any(each.kind is ResourceKind.INTERFACE for each in self.loose):
            return False
        if group_id in self.held:
            return False
        self.deleted.append(group_id)
        return super().delete_security_group(group_id)

    def _delete(self, piece_id: str) -> None:
        if piece_id in self.held:
            raise BakeError(f"{piece_id} is in use")
        self.deleted.append(piece_id)
        self.loose = [each for each in self.loose if each.id != piece_id]


def a_region(*names: str, **more) -> Region:
    """Return a region with a worker and a security group of each cluster."""
    nodes, groups = [], []
    for name in names:
        tags = resource(ResourceKind.GROUP, cluster=name).tags
        nodes.append(
            Node(f"i-{name}", 1, Role.WORKER, "running", "", None, "t", "z", OLD, "ami-1", tags=tags)
        )
        groups.append(SecurityGroup(f"sg-{name}", f"dask-bake-{name}", "vpc-1", tags))
    return Region(instances=nodes, security_groups=groups, **more)


def remove(**regions: Region) -> None:
    clock = FakeClock()
    found = reap.survey(regions, NOW)
    reap.remove(found.plan, regions, notify=lambda _: None, clock=clock, sleep=clock.sleep)


def test_network_interfaces_are_deleted_before_their_security_groups():
    region = a_region("taxi", loose=[resource(ResourceKind.INTERFACE), resource(ResourceKind.VOLUME)])

    remove(here=region)

    assert (region.left, region.loose) == ([], [])
    assert region.deleted == ["vol-0", "eni-0", "sg-taxi"]


def test_a_resource_that_cannot_be_removed_is_named_and_the_rest_is_removed():
    region = a_region("first", "second", held=("sg-first",))

    with pytest.raises(LeftoverError) as caught:
        remove(here=region)

    assert region.left == ["sg-first"]
    assert "security group dask-bake-first (sg-first)" in caught.value.message
    assert "sg-second" not in caught.value.message
    assert hint_of(caught.value) == "dask-bake reap --region here"


def test_a_volume_that_cannot_be_deleted_is_named_with_ec2_s_reason():
    region = a_region("taxi", loose=[resource(ResourceKind.VOLUME)], held=("vol-0",))

    with pytest.raises(LeftoverError) as caught:
        remove(here=region)

    assert region.left == []
    assert "volume vol-0. The reason: vol-0 is in use" in caught.value.message


def test_a_failure_in_one_region_does_not_stop_the_removal_in_others():
    first, last = (a_region("taxi", loose=[resource(ResourceKind.VOLUME)], held=("vol-0",)) for _ in range(2))
    between = a_region("train")

    with pytest.raises(LeftoverError) as caught:
        remove(east=first, north=between, west=last)

    assert (first.left, between.left, last.left) == ([], [], [])
    assert caught.value.message == (
        "something may be left that costs money in east, west: volume vol-0; volume vol-0."
        " The reason: vol-0 is in use"
    )
    assert (caught.value.exit_code, hint_of(caught.value)) == (3, "dask-bake reap --all-regions")


@pytest.mark.parametrize(
    "operation", ["terminate", "nodes", "delete_security_group", "groups"], ids=lambda each: f"in-{each}"
)
def test_an_interrupt_ends_the_removal_and_names_everything_that_may_be_left(operation):
    first, near = a_region("far"), a_region("taxi", "train")
    near.faults = [Fault(operation, KeyboardInterrupt())]
    last = a_region("zebra")

    with pytest.raises(LeftoverError) as caught:
        remove(far=first, near=near, zoo=last)

    assert (first.left, last.left) == ([], ["i-zebra", "sg-zebra"])
    for piece_id in (*near.left, *last.left):
        assert piece_id in caught.value.message
    assert "i-far" not in caught.value.message
    assert "may be left that costs money in near, zoo: " in caught.value.message
    assert (caught.value.exit_code, hint_of(caught.value)) == (3, "dask-bake reap --all-regions")
    assert near.left


def test_after_an_interrupt_in_one_region_the_hint_names_that_region():
    region = a_region("taxi")
    region.faults = [Fault("terminate", KeyboardInterrupt())]

    with pytest.raises(LeftoverError, match="interrupted") as caught:
        remove(here=region)

    assert hint_of(caught.value) == "dask-bake reap --region here"


def test_a_region_that_does_not_respond_is_reported_beside_the_others():
    seen = reap.survey({"far": Region(silent=True), "here": a_region("taxi")}, NOW)

    assert [each.cluster for each in seen.plan.orphans] == ["taxi"]
    assert {region: error.message for region, error in seen.unreadable.items()} == {
        "far": "EC2 could not be reached"
    }
