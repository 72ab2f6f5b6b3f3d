"""What belongs to no living cluster: how that is decided, shown, and removed though some of it resists."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from rich.console import Console

from dask_bake.bake.lease import BakeLease
from dask_bake.clusters import reap
from dask_bake.clusters.naming import group_name, moment
from dask_bake.clusters.orphans import BAKING, ReapPlan, plan_reap
from dask_bake.errors import BakeError, LeftoverError
from dask_bake.models.cloud import Role
from dask_bake.models.cluster import Node
from dask_bake.models.ec2 import SecurityGroup
from dask_bake.models.resources import GRACE_PERIOD, Resource, ResourceKind
from dask_bake.models.tags import Tag
from dask_bake.view.reap import reap_document, reap_view
from fakes import SUBNETS, FakeClock, FakeCloud, Fault, a_plan, head_of, hint_of, workers_of

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)
OLD = NOW - timedelta(hours=3)
NAMES = {
    ResourceKind.INSTANCE: "i-0",
    ResourceKind.VOLUME: "vol-0",
    ResourceKind.INTERFACE: "eni-0",
    ResourceKind.GROUP: "sg-0",
    ResourceKind.KEY_PAIR: "key-0",
}
BAKE = "image-0123456789ab"


def resource(
    kind: ResourceKind, state: str = "", *, cluster="taxi", role=Role.WORKER, launch="", **changes
) -> Resource:
    own = ((Tag.MANAGED, "true"), (Tag.CLUSTER, cluster), (Tag.LAUNCH, launch or f"of-{cluster}"))
    usual = {
        ResourceKind.INSTANCE: "running",
        ResourceKind.VOLUME: "available",
        ResourceKind.INTERFACE: "available",
    }
    made = Resource(
        kind, NAMES[kind], (*own, (Tag.ROLE, str(role))), state=state or usual.get(kind, ""), created=OLD
    )
    return replace(made, **changes)


def head(state: str = "running", **changes) -> Resource:
    return resource(ResourceKind.INSTANCE, state, role=Role.HEAD, id="i-head", **changes)


def plan(*resources: Resource) -> ReapPlan:
    return plan_reap("us-east-1", resources, NOW)


def going(*resources: Resource) -> list[str]:
    return [each.id for remains in plan(*resources).orphans for each in remains.resources]


@pytest.mark.parametrize("state", ["pending", "running", "stopping", "stopped"])
def test_a_cluster_lives_as_long_as_its_head(state):
    assert plan(head(state), *(resource(kind) for kind in ResourceKind)) == ReapPlan()


@pytest.mark.parametrize("state", ["shutting-down", "terminated"])
def test_when_its_head_has_ended_all_the_rest_goes(state):
    assert going(head(state), *(resource(kind) for kind in ResourceKind)) == [
        "i-0",
        "vol-0",
        "eni-0",
        "sg-0",
        "key-0",
    ]


@pytest.mark.parametrize("kind", [ResourceKind.VOLUME, ResourceKind.INTERFACE])
def test_what_an_instance_still_has_goes_with_it(kind):
    assert going(resource(kind, "in-use")) == []


@pytest.mark.parametrize("kind", ResourceKind)
def test_whatever_is_young_keeps_its_launch(kind):
    young = resource(kind, created=NOW - GRACE_PERIOD + timedelta(seconds=1))

    found = plan(resource(ResourceKind.GROUP), young)

    assert not found
    assert [each.cluster for each in found.skipped] == ["taxi"]


def test_a_clock_that_is_ahead_makes_nothing_old():
    assert not plan(resource(ResourceKind.GROUP, created=NOW + timedelta(minutes=9)))


def test_a_head_that_ended_just_now_keeps_its_launch():
    """Another place may be tried for it."""
    assert not plan(head("terminated", ended=NOW - timedelta(minutes=1)), resource(ResourceKind.GROUP))
    assert plan(head("terminated", ended=NOW - GRACE_PERIOD), resource(ResourceKind.GROUP))


def test_a_group_whose_age_nothing_tells_is_left_to_people():
    found = plan(resource(ResourceKind.GROUP, created=None))

    assert not found
    assert [each.why for each in found.skipped] == ["nothing tells its age"]
    assert going(resource(ResourceKind.GROUP, created=None), resource(ResourceKind.KEY_PAIR)) == [
        "sg-0",
        "key-0",
    ]


@pytest.mark.parametrize("missing", [Tag.MANAGED, Tag.CLUSTER, Tag.LAUNCH])
def test_what_lacks_one_of_our_tags_is_nobody_s_to_remove(missing):
    whole = resource(ResourceKind.INSTANCE)
    assert plan(whole)
    assert not plan(replace(whole, tags=tuple(tag for tag in whole.tags if tag[0] != missing)))


def test_a_launch_is_judged_by_itself():
    assert going(head(launch="new"), resource(ResourceKind.INSTANCE, launch="old", id="i-lost")) == ["i-lost"]


@pytest.mark.parametrize("name", [BAKE, f"{BAKE}-proof"])
def test_a_bake_lives_as_long_as_a_bake_can_take(name):
    def claim(age: timedelta) -> ReapPlan:
        return plan(resource(ResourceKind.GROUP, cluster=BAKE), head(cluster=name, created=NOW - age))

    assert not claim(BAKING - timedelta(seconds=1))
    assert claim(BAKING)


def test_all_that_a_launch_makes_says_when_it_began():
    began = replace(a_plan(), begun=NOW)

    for tags in (began.group_tags, head_of(began).tags, workers_of(began).tags):
        assert dict(tags)[Tag.CREATED] == "2026-01-02T12:00:00+00:00"


def test_a_bake_s_claim_says_when_it_was_made_though_it_was_long_waited_for():
    """By the start of the bake it would be old before its machine is there."""
    clock, cloud = FakeClock(), FakeCloud()

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        if clock.now > 150:
            cloud.security_groups.clear()

    def now() -> datetime:
        return NOW + timedelta(seconds=clock.now)

    lease = BakeLease(cloud, 64 * "0", "bake1", 600, lambda _: None, clock, sleep, now)
    cloud.create_security_group(group_name(lease.name), vpc_id="vpc-1", tags=((Tag.LAUNCH, "other"),))

    with lease.held(SUBNETS[0], "192.0.2.7/32") as group:
        made = now()
        assert dict(group.tags)[Tag.CREATED] == moment(made)
    assert made > NOW + timedelta(seconds=150)


def test_between_a_bake_s_two_machines_its_claim_stays():
    ended = head("terminated", cluster=BAKE, ended=NOW - timedelta(seconds=20))

    assert not plan(resource(ResourceKind.GROUP, cluster=BAKE), ended)


@dataclass
class Region(FakeCloud):
    """A region in a list, with disks and interfaces."""

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
    """With a worker and a group of each cluster."""
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


def test_interfaces_go_before_the_groups_that_they_are_in():
    region = a_region("taxi", loose=[resource(ResourceKind.INTERFACE), resource(ResourceKind.VOLUME)])

    remove(here=region)

    assert (region.left, region.loose) == ([], [])
    assert region.deleted == ["vol-0", "eni-0", "sg-taxi"]


def test_what_resists_is_named_and_keeps_nothing_else():
    region = a_region("first", "second", held=("sg-first",))

    with pytest.raises(LeftoverError) as caught:
        remove(here=region)

    assert region.left == ["sg-first"]
    assert "security group dask-bake-first (sg-first)" in caught.value.message
    assert "sg-second" not in caught.value.message
    assert hint_of(caught.value) == "dask-bake reap --region here"


def test_a_disk_that_stays_is_named_with_ec2_s_reason():
    region = a_region("taxi", loose=[resource(ResourceKind.VOLUME)], held=("vol-0",))

    with pytest.raises(LeftoverError) as caught:
        remove(here=region)

    assert region.left == []
    assert "volume vol-0. The reason: vol-0 is in use" in caught.value.message


def test_what_resists_in_one_region_keeps_nothing_in_the_others():
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
def test_an_interrupt_ends_the_removal_and_names_all_that_may_be_left(operation):
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


def test_an_interrupt_in_the_last_region_tells_the_command_for_it():
    region = a_region("taxi")
    region.faults = [Fault("terminate", KeyboardInterrupt())]

    with pytest.raises(LeftoverError, match="interrupted") as caught:
        remove(here=region)

    assert hint_of(caught.value) == "dask-bake reap --region here"


def test_a_region_that_does_not_answer_hides_no_other():
    seen = reap.survey({"far": Region(silent=True), "here": a_region("taxi")}, NOW)

    assert [each.cluster for each in seen.plan.orphans] == ["taxi"]
    assert {region: error.message for region, error in seen.unreadable.items()} == {
        "far": "EC2 could not be reached"
    }


def shown(renderable) -> str:
    console = Console(file=StringIO(), width=80, highlight=False, record=True)
    console.print(renderable)
    return "\n".join(line.rstrip() for line in console.export_text().splitlines())


FOUND = plan(
    resource(ResourceKind.INSTANCE, type="m6i.large", id="i-0123456789abcdef0"),
    resource(ResourceKind.VOLUME, type="gp3", size=10, id="vol-0123456789abcdef0"),
    resource(ResourceKind.GROUP, name="dask-bake-taxi", created=None, id="sg-0123456789abcdef0"),
    resource(ResourceKind.GROUP, cluster="young", created=NOW),
)


def test_what_is_found_is_shown_with_age_and_cost_in_80_columns():
    costs = {"i-0123456789abcdef0": 0.096, "vol-0123456789abcdef0": None}

    assert shown(reap_view(FOUND, costs, NOW)) == (
        "taxi  us-east-1, inactive for 3 h\n"
        "  instance        i-0123456789abcdef0    m6i.large       3 h  $0.0960/h\n"
        "  volume          vol-0123456789abcdef0  gp3 10 GiB      3 h          ?\n"
        "  security group  sg-0123456789abcdef0   dask-bake-taxi    ?\n"
        "left alone\n"
        "  young  us-east-1  it may be starting, or ending, just now\n"
        "1 instance, 1 volume and 1 security group are to be removed, $0.0960 an hour\n"
        "plus unknown costs."
    )


def test_where_nothing_costs_no_cost_is_shown():
    assert "hour" not in shown(reap_view(FOUND, {}, NOW))
    assert "unknown" not in shown(reap_view(ReapPlan(), {}, NOW))


def test_a_script_reads_the_same():
    document = reap_document(FOUND, {}, NOW, unreadable={}, removed=False)

    assert document["left_alone"] == [
        {"region": "us-east-1", "cluster": "young", "why": "it may be starting, or ending, just now"}
    ]
    (left,) = document["leftovers"]
    assert (left["launch_id"], left["silent_seconds"]) == ("of-taxi", 3 * 3600)
    assert left["pieces"][2] == {
        "kind": "security group",
        "id": "sg-0123456789abcdef0",
        "name": "dask-bake-taxi",
        "type": None,
        "age_seconds": None,
        "cost_an_hour": None,
    }
