"""`dask-bake scale` on a pretended cloud: the old number of nodes or the new, whatever fails and when."""

import json
from collections import Counter

import pytest

from dask_bake.cli.main import run as run_command
from dask_bake.commands import clusters
from dask_bake.errors import BakeError, CapacityError, LeftoverError, NotReadyError, QuotaError, UsageError
from dask_bake.iam.grants import Extra, Purpose
from dask_bake.models.tags import Tag
from dask_bake.scaling.lock import lock_name
from dask_bake.scaling.scale import scale
from fake_local_cloud import left
from fakes import AllRegistered, hint_of
from iam_actions import permitted
from scaling_owner import Owner

GROUPS = ["dask-bake-dask", "dask-bake-dask/ssh"]


class NoneRegistered(AllRegistered):
    """A scheduler with which the workers of the launch have registered, and no others."""

    def registered(self, head):
        found = dict(super().registered(head))
        for node in self.cloud.nodes({Tag.MANAGED: "true"}):
            if dict(node.tags).get(Tag.FIRST_INDEX) != "1":
                found.pop(node.private_address, None)
        return found


@pytest.fixture
def owner(cloud, monkeypatch, tmp_path, capsys) -> Owner:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    owner = Owner(cloud)
    owner.launch()
    capsys.readouterr()
    return owner


def requests(cloud) -> Counter:
    return Counter(request["action"] for request in cloud.requests_for())


def groups(cloud) -> list[str]:
    return sorted(each for each in left(cloud) if each.startswith("dask-bake"))


def workers_run_by(cloud) -> list[dict]:
    return [request["parameters"] for request in cloud.requests_for("RunInstances")]


def test_scale_needs_the_actions_that_the_policy_adds_for_it(owner, cloud):
    assert (owner.scale(5), owner.scale(3)) == (0, 0)

    used = {f"{request['service']}:{request['action']}" for request in cloud.requests_for()}
    assert used - {"sts:GetCallerIdentity"} <= permitted(Purpose.LAUNCH, Extra.SCALE)
    assert permitted(Extra.SCALE) - permitted(Purpose.LAUNCH) <= used


def test_nodes_are_added_by_one_request_like_those_of_the_launch(owner, cloud, capsys):
    launched = owner.cluster
    assert owner.scale(5) == 0

    document = json.loads(capsys.readouterr().out)
    assert [node["index"] for node in document["nodes"]] == [0, 1, 2, 3, 4]
    assert (document["nodes_expected"], document["workers"], document["workers_expected"]) == (5, 8, 8)
    assert (document["started"], document["ended"]) == ([3, 4], [])
    assert requests(cloud)["RunInstances"] == 1
    one, other = (
        cloud.ec2.describe_instances(InstanceIds=[id_])["Reservations"][0]["Instances"][0]
        for id_ in (launched.workers[0].id, document["nodes"][4]["id"])
    )
    for same in ("ImageId", "InstanceType", "SecurityGroups", "Placement", "MetadataOptions"):
        assert one[same] == other[same]
    user_data = [
        cloud.ec2.describe_instance_attribute(InstanceId=id_, Attribute="userData")["UserData"]
        for id_ in (one["InstanceId"], other["InstanceId"])
    ]
    assert user_data[0] == user_data[1] != {}
    tags = [{tag["Key"]: tag["Value"] for tag in each["Tags"]} for each in (one, other)]
    assert tags[1] == {**tags[0], Tag.FIRST_INDEX: "3", Tag.COUNT: "5"}
    assert groups(cloud) == GROUPS


def test_a_node_keeps_its_number_and_numbers_are_not_used_again(owner):
    one = owner.cluster.workers[0].id
    owner.retirement.tasks[owner.cluster.workers[0].private_address] = 1  # it is the busiest
    owner.scale(5)
    owner.scale(2)
    owner.scale(4)

    assert owner.numbers == [0, 1, 5, 6]
    assert {node.index: node.id for node in owner.cluster.nodes if node.is_up}[1] == one


def test_numbers_outlive_nodes_that_ec2_does_not_list_any_more(owner, cloud):
    owner.scale(4)
    owner.scale(2)
    for reservation in list(cloud.moto.region("us-east-1").reservations.values()):
        reservation.instances = [each for each in reservation.instances if each.state != "terminated"]
    owner.scale(3)

    assert owner.numbers == [0, 1, 4]


def test_nodes_that_leave_are_emptied_before_they_are_ended(owner, cloud):
    one, two = owner.cluster.workers
    owner.retirement.tasks |= {one.private_address: 3, two.private_address: 2}
    is_live = []
    owner.retirement.before = lambda name: is_live.append((name, owner.edge.nodes({})[2].is_live))

    owner.scaling(2).run()

    assert owner.numbers == [0, 1]
    assert is_live == [
        ("loads", True),
        ("drain", True),
        *3 * (("look", True),),
        ("end", True),
        ("count", False),
        ("forget", False),
    ]
    assert owner.retirement.forgotten == (two.private_address,)
    assert (owner.cluster.size, owner.retirement.closed, groups(cloud)) == (2, True, GROUPS)


def test_the_condition_follows_the_new_size(owner, capsys):
    for count in (5, 2):
        owner.scale(count)
        capsys.readouterr()
        assert run_like(owner, "status") == 0
        assert json.loads(capsys.readouterr().out)["state"] == "up"


def run_like(owner, command: str) -> int:
    assert command == "status"
    return clusters.status(owner.there, owner.edge, owner.terminal, name="dask", json_output=True)


def test_the_number_of_nodes_that_is_there_sends_no_request_that_changes_anything(owner, cloud):
    assert owner.scale(3) == 0

    assert {each for each in requests(cloud) if not each.startswith("Describe")} == set()


def test_a_cluster_that_lost_nodes_is_whole_again_or_smaller_without_a_complaint(owner, cloud):
    lost = owner.cluster.workers[1]
    cloud.ec2.terminate_instances(InstanceIds=[lost.id])
    cloud.until({"InstanceId": lost.id}, "terminated")

    owner.scale(3)
    assert owner.numbers == [0, 1, 3]
    cloud.ec2.terminate_instances(InstanceIds=[owner.cluster.workers[1].id])
    owner.scale(2)
    assert (owner.numbers, owner.cluster.size) == ([0, 1], 2)


def test_a_dry_run_shows_the_plan_and_changes_nothing(owner, cloud, capsys):
    assert owner.scale(5, dry_run=True) == 0
    up = json.loads(capsys.readouterr().out)
    assert owner.scale(2, dry_run=True) == 0
    down = json.loads(capsys.readouterr().out)

    assert (up["nodes"], up["nodes_wanted"], up["start"], up["end"]) == (3, 5, [3, 4], [])
    assert [place["zone"] for place in up["places"]][:2] == ["us-east-1a", "us-east-1b"]
    assert (down["start"], [node["index"] for node in down["end"]]) == ([], [2])
    assert {each for each in requests(cloud) if not each.startswith("Describe")} <= {"GetServiceQuota"}


@pytest.mark.parametrize("count", [1, 0, -2])
def test_fewer_than_two_nodes_are_refused(owner, cloud, count):
    with pytest.raises(UsageError, match="--count must be at least 2") as caught:
        owner.scale(count)
    assert "dask-bake down" in hint_of(caught.value) or "head node" in hint_of(caught.value)


def test_a_cluster_that_is_gone_or_ending_is_refused(owner, cloud):
    for node in owner.cluster.nodes:
        cloud.ec2.terminate_instances(InstanceIds=[node.id])
    for message in ("dask", "no cluster named other"):
        with pytest.raises(UsageError, match=message):
            scale(
                "other" if "other" in message else "dask",
                4,
                cloud=owner.there,
                ec2=owner.edge,
                allow_foreign=True,
            )
    assert requests(cloud)["RunInstances"] == requests(cloud)["CreateSecurityGroup"] == 0


def test_a_cluster_without_a_head_is_refused(owner, cloud):
    cloud.ec2.terminate_instances(InstanceIds=[owner.cluster.nodes[0].id])

    with pytest.raises(UsageError, match="has no head node") as caught:
        owner.scale(4)
    assert "dask-bake down dask" in hint_of(caught.value)


def test_somebody_else_s_cluster_is_changed_only_with_yes(owner, cloud, monkeypatch, capsys):
    ids = [node.id for node in owner.cluster.nodes]
    cloud.ec2.create_tags(Resources=ids, Tags=[{"Key": Tag.OWNER, "Value": "bert"}])

    with pytest.raises(UsageError, match=r"owner|bert|belongs") as caught:
        owner.scale(4)
    assert "--yes" in hint_of(caught.value)
    with pytest.raises(UsageError, match=r"is not changed without asking"):
        scale("dask", 4, cloud=owner.there, ec2=owner.edge)
    assert owner.numbers == [0, 1, 2]
    assert owner.scale(4, asks=False) == 0


# Faults while nodes are added: the cluster has its nodes of before


def fails(owner, count, error, **options) -> BakeError:
    """Check that scaling fails, and that the cluster has the nodes and the size that it had."""
    before, size = owner.numbers, owner.cluster.size
    with pytest.raises(error) as caught:
        owner.scaling(count, **options).run()
    owner.cloud.clear_faults()
    assert (owner.numbers, owner.cluster.size, groups(owner.cloud)) == (before, size, GROUPS)
    return caught.value


def test_no_capacity_anywhere_leaves_the_old_size(owner, cloud):
    cloud.fault("capacity", times=0)

    error = fails(owner, 5, CapacityError)
    assert "m6i.2xlarge in us-east-1a" in error.message
    assert len({each["NetworkInterface.1.SubnetId"] for each in workers_run_by(cloud)}) > 1


def test_the_head_s_zone_is_tried_first_then_those_of_the_launch(owner, cloud):
    zone = owner.cluster.nodes[0].zone
    cloud.fault("capacity", where={"AvailabilityZone": zone}, times=0)

    owner.scale(4)

    first, second = (node.zone for node in (owner.cluster.nodes[0], owner.cluster.nodes[3]))
    assert first == zone != second
    assert len(workers_run_by(cloud)) == 2


def test_a_quota_that_is_reached_leaves_the_old_size(owner, cloud):
    cloud.fault("error", "RunInstances", code="VcpuLimitExceeded", times=0)

    assert "16 vCPUs" in fails(owner, 5, QuotaError).message


def test_a_number_above_the_quota_is_refused_before_anything_is_changed(owner, cloud):
    cloud.set_quotas(L_1216C47A=40)

    error = fails(owner, 9, BakeError)
    assert "L-1216C47A" in error.message
    assert requests(cloud)["CreateTags"] == requests(cloud)["RunInstances"] == 0


@pytest.mark.parametrize("kind", ["drop-before", "drop-after", "truncate", "html"])
@pytest.mark.parametrize("action", ["CreateSecurityGroup", "CreateTags", "RunInstances"])
def test_a_request_of_unknown_outcome_is_retried_and_done_once(owner, cloud, action, kind):
    cloud.fault(kind, action, times=2)

    owner.scale(5)

    assert (owner.numbers, groups(cloud)) == ([0, 1, 2, 3, 4], GROUPS)


@pytest.mark.parametrize("action", ["CreateTags", "RunInstances", "DescribeInstanceAttribute"])
def test_a_request_that_ec2_fails_again_and_again_leaves_the_old_size(owner, cloud, action):
    cloud.fault("error", action, code="InternalError", status=500, times=4 if action == "RunInstances" else 0)

    fails(owner, 5, BakeError)


def test_nodes_that_do_not_join_are_ended_and_named(owner, cloud):
    error = fails(owner, 5, NotReadyError, connection=NoneRegistered, timeout=20)

    assert "node 3 is late" in error.message
    assert "--timeout" in error.hint


def test_a_node_that_ec2_ends_while_it_starts_leaves_the_old_size(owner, cloud):
    cloud.fault("terminated", "RunInstances", count=1)

    fails(owner, 5, NotReadyError, connection=NoneRegistered)


@pytest.mark.parametrize("action", ["CreateTags", "RunInstances"])
def test_an_interrupt_leaves_the_old_size(owner, cloud, action, monkeypatch):
    def interrupted(*arguments):
        call(*arguments)
        raise KeyboardInterrupt

    name = {"CreateTags": "tag", "RunInstances": "run_instances"}[action]
    call = getattr(owner.edge._edge, name)
    monkeypatch.setattr(owner.edge, name, interrupted, raising=False)

    with pytest.raises(KeyboardInterrupt):
        owner.scaling(5).run()
    monkeypatch.undo()
    assert (owner.numbers, owner.cluster.size, groups(cloud)) == ([0, 1, 2], 3, GROUPS)


def test_an_interrupt_while_nodes_join_ends_them_after_their_work_was_passed_on(owner, cloud):
    class Interrupted(AllRegistered):
        def registered(self, head):
            found = super().registered(head)
            *_, last = found
            if len(found) < 4:
                return found
            if self.queries:
                raise KeyboardInterrupt
            self.queries += 1
            return {**found, last: 1}

    with pytest.raises(KeyboardInterrupt):
        owner.scaling(5, Interrupted).run()

    assert (owner.numbers, owner.cluster.size, groups(cloud)) == ([0, 1, 2], 3, GROUPS)
    assert owner.retirement.calls == ["drain", "look", "end", "forget"]


def test_new_nodes_that_cannot_be_ended_are_named(owner, cloud):
    cloud.fault("error", "TerminateInstances", code="UnauthorizedOperation", times=0)

    with pytest.raises(LeftoverError) as caught:
        owner.scaling(4, NoneRegistered, timeout=20).run()

    cloud.clear_faults()
    (new,) = (node.id for node in owner.cluster.nodes if node.index == 3)
    assert new in caught.value.message
    assert "dask-bake scale dask --count 3" in hint_of(caught.value)
    owner.scale(3)
    assert owner.numbers == [0, 1, 2]


# Faults while nodes leave


def test_tasks_that_do_not_end_are_waited_for_and_an_interrupt_keeps_the_nodes(owner, cloud):
    two = owner.cluster.workers[1].private_address
    owner.retirement.tasks |= dict.fromkeys(owner.retirement.tasks, 10**6)

    def interrupt(name):
        if owner.retirement.calls.count("look") > 30:
            owner.retirement.before = lambda _: None
            raise KeyboardInterrupt

    owner.retirement.before = interrupt
    with pytest.raises(KeyboardInterrupt):
        owner.scaling(2).run()

    assert (owner.numbers, owner.cluster.size, groups(cloud)) == ([0, 1, 2], 3, GROUPS)
    assert owner.retirement.calls[-1] == "forget"
    assert owner.retirement.forgotten == ()
    assert two not in owner.retirement.leaving


def test_results_that_have_no_room_elsewhere_keep_the_nodes(owner, cloud):
    owner.retirement.failed = "the workers that stay have no room"

    assert "have no room" in fails(owner, 2, BakeError).message
    assert requests(cloud)["TerminateInstances"] == 0


def test_a_node_with_an_actor_is_named_and_stays(owner, cloud):
    owner.retirement.holds = dict.fromkeys(owner.retirement.tasks, "an actor")

    assert "node 2 has an actor" in fails(owner, 2, UsageError).message


def test_nodes_that_may_not_be_ended_work_again(owner, cloud):
    cloud.fault("error", "TerminateInstances", code="UnauthorizedOperation", times=0)

    fails(owner, 2, BakeError)
    assert owner.retirement.calls[-1] == "forget"


@pytest.mark.parametrize("kind", ["drop-before", "drop-after", "truncate", "html"])
def test_an_end_of_unknown_outcome_is_asked_for_again(owner, cloud, kind):
    cloud.fault(kind, "TerminateInstances", times=2)

    owner.scaling(2).run()
    assert (owner.numbers, owner.cluster.size) == ([0, 1], 2)


def test_an_interrupt_while_ec2_ends_the_nodes_leaves_the_new_size(owner, cloud, monkeypatch):
    def interrupted(ids):
        monkeypatch.undo()
        owner.edge._edge.terminate(ids)
        raise KeyboardInterrupt

    monkeypatch.setattr(owner.edge, "terminate", interrupted, raising=False)
    owner.scaling(2).run()

    assert (owner.numbers, owner.cluster.size, groups(cloud)) == ([0, 1], 2, GROUPS)


# One writer at a time


def test_a_second_process_waits_for_the_first(owner, cloud):
    lock = cloud.ec2.create_security_group(
        GroupName=lock_name("dask"),
        Description="another one",
        VpcId=owner.cluster.groups[0].vpc_id,
        TagSpecifications=[
            {
                "ResourceType": "security-group",
                "Tags": [
                    {"Key": Tag.MANAGED, "Value": "true"},
                    {"Key": Tag.CLUSTER, "Value": "dask"},
                    {"Key": Tag.LAUNCH, "Value": "other"},
                    {"Key": Tag.CREATED, "Value": "2026-01-02T00:00:00+00:00"},
                    {"Key": Tag.OWNER, "Value": "bert"},
                ],
            }
        ],
    )["GroupId"]

    with pytest.raises(BakeError, match="is being changed by another process of bert"):
        owner.scaling(5, lock_timeout=10.0).run()
    assert (owner.numbers, requests(cloud)["RunInstances"]) == ([0, 1, 2], 0)

    owner.scaling(5).run()  # nobody renews it any more
    assert (owner.numbers, groups(cloud)) == ([0, 1, 2, 3, 4], GROUPS)
    assert lock not in left(cloud)


def test_a_cluster_that_is_ended_meanwhile_gets_no_nodes(owner, cloud, monkeypatch):
    """`down` begins after the plan was made."""
    call = owner.edge._edge.run_instances

    def late(spec):
        monkeypatch.undo()
        nodes = call(spec)
        cloud.ec2.terminate_instances(InstanceIds=[owner.cluster.nodes[0].id])
        return nodes

    monkeypatch.setattr(owner.edge, "run_instances", late, raising=False)
    with pytest.raises(BakeError, match="node 0"):
        owner.scaling(4, NoneRegistered).run()

    assert owner.numbers == [1, 2]


def test_down_ends_added_nodes_and_an_abandoned_lock(owner, cloud):
    owner.scale(4)
    cluster = owner.cluster
    owner.edge.create_security_group(
        lock_name("dask"),
        vpc_id=cluster.groups[0].vpc_id,
        tags=((Tag.MANAGED, "true"), (Tag.CLUSTER, "dask"), (Tag.LAUNCH, "other")),
    )
    clusters.down(
        owner.there, owner.edge, owner.terminal, clusters.Ending(), name="dask", asks=False, json_output=True
    )
    assert left(cloud) == []


# Where a launch of an older version, or without Dask, is scaled


def test_a_cluster_of_an_older_version_grows_by_its_nodes_alone(owner, cloud):
    ids = [node.id for node in owner.cluster.nodes]
    new = (Tag.FIRST_INDEX, Tag.NEXT_INDEX, Tag.TYPES, Tag.SUBNETS, Tag.MARKET, Tag.DISK)
    cloud.ec2.delete_tags(Resources=ids, Tags=[{"Key": key} for key in new])

    owner.scale(4)
    assert owner.numbers == [0, 1, 2, 3]


def test_a_cluster_without_dask_grows_and_its_last_nodes_end(owner, cloud, capsys):
    clusters.down(
        owner.there, owner.edge, owner.terminal, clusters.Ending(), name="dask", asks=False, json_output=True
    )
    owner.launch(dask=False, nprocs=1)
    owner.scale(4)
    assert owner.numbers == [0, 1, 2, 3]
    owner.scale(2)

    assert owner.numbers == [0, 1]
    assert owner.retirement.calls == []


def test_the_command_line_refuses_a_number_before_any_request(capsys):
    assert run_command(["scale", "--count", "1", "--cloud", "local"]) == 2
    assert "--count must be at least 2" in " ".join(capsys.readouterr().err.split())
