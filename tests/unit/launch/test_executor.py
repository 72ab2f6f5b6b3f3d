"""A launch ends with a cluster whose workers have registered, or leaves nothing."""

from dataclasses import replace

import pytest

from dask_bake.clusters.inventory import find, list_clusters
from dask_bake.clusters.teardown import take_down
from dask_bake.errors import (
    BakeError,
    LeftoverError,
    NotReadyError,
    OutcomeUnknownError,
    QuotaError,
    TransientError,
    UsageError,
)
from dask_bake.events import PhaseEnded, PhaseStarted
from dask_bake.launch.executor import staying
from dask_bake.models.ec2 import SecurityGroup
from fakes import CLOUD, HOST_KEY, FakeClock, FakeCloud, FakeHeadConnection, Fault, a_plan, hint_of
from launching import start


def rules_of(cloud):
    groups = {group.id: group for group in cloud.security_groups}
    return [(groups[group_id], rule) for group_id, rule in cloud.rules]


def test_a_launch_returns_the_cluster_with_every_worker_registered():
    cloud, events = FakeCloud(), []
    connection = FakeHeadConnection(cloud)

    cluster = start(cloud, connection, events=events)

    assert [(node.index, node.role, node.state) for node in cluster.nodes] == [
        (0, "head", "running"),
        (1, "worker", "running"),
        (2, "worker", "running"),
    ]
    assert (cluster.expected_workers, cluster.nthreads, connection.pinned) == (4, 4, {"i-0": HOST_KEY})
    assert (connection.secrets, connection.closed) == (True, True)
    assert sum(count for _, count in events[-1].registered) == 4


def test_all_workers_are_requested_in_one_call_with_the_head_s_address():
    cloud = FakeCloud()
    start(cloud)

    head, workers = cloud.specs
    begun = cloud.calls[:7]
    assert sorted(begun[1:3]) == ["authorize", "groups"]
    assert begun[:1] + begun[3:] == [
        "create_security_group",
        "create_security_group",
        "authorize",
        "run_instances",
        "run_instances",
    ]
    assert (head.count, workers.count) == (1, 2)
    assert "tcp://10.0.0.4:8786" in workers.user_data
    assert (head.security_group_ids, workers.security_group_ids) == (("sg-0", "sg-1"), ("sg-0",))


def test_nodes_can_reach_each_other_and_the_caller_can_reach_ssh_on_the_head():
    cloud = FakeCloud()
    start(cloud)

    assert [(group.name, rule.source, rule.port) for group, rule in rules_of(cloud)] == [
        ("dask-bake-dask", "sg-0", None),
        ("dask-bake-dask/ssh", "192.0.2.7/32", 22),
    ]


def test_the_number_of_instance_calls_does_not_grow_with_the_cluster():
    cloud = FakeCloud()
    start(cloud, plan=a_plan(count=40, nprocs=1))

    assert cloud.calls.count("run_instances") == 2
    assert cloud.calls.count("console_output") == 1


def test_each_phase_of_a_launch_has_a_start_and_an_end_event():
    events = []
    start(FakeCloud(), events=events)

    started = [event.phase for event in events if isinstance(event, PhaseStarted)]
    assert started == ["security group", "instances", "head", "host key", "scheduler", "workers"]
    assert started == [event.phase for event in events if isinstance(event, PhaseEnded)]


STEPS = [
    Fault("create_security_group", BakeError("no")),
    Fault("create_security_group", KeyboardInterrupt(), after=True),
    Fault("create_security_group", OutcomeUnknownError("no answer"), after=True),
    Fault("create_security_group", OutcomeUnknownError("no answer"), nth=2, after=True),
    Fault("authorize", BakeError("no")),
    Fault("authorize", KeyboardInterrupt()),
    Fault("run_instances", BakeError("no")),
    Fault("run_instances", KeyboardInterrupt(), after=True),
    Fault("run_instances", OutcomeUnknownError("no answer"), after=True),
    Fault("run_instances", BakeError("no capacity"), nth=2),
    Fault("run_instances", KeyboardInterrupt(), nth=2, after=True),
    Fault("run_instances", OutcomeUnknownError("no answer"), nth=2, after=True),
    Fault("nodes", BakeError("no")),
    Fault("nodes", KeyboardInterrupt(), nth=2),
    Fault("console_output", BakeError("no")),
    Fault("console_output", KeyboardInterrupt(), after=True),
]


@pytest.mark.parametrize("fault", STEPS, ids=lambda fault: f"{fault.operation}-{fault.nth}-{fault.error!r}")
def test_a_launch_that_fails_at_any_step_leaves_nothing(fault):
    cloud = FakeCloud(faults=[fault])
    connection = FakeHeadConnection(cloud)

    with pytest.raises(type(fault.error)):
        start(cloud, connection)

    assert (cloud.left, connection.secrets) == ([], False)


def test_if_the_first_request_is_refused_no_other_is_sent():
    cloud = FakeCloud(faults=[Fault("create_security_group", BakeError("your token has expired"))])

    with pytest.raises(BakeError, match="your token has expired") as caught:
        start(cloud)

    assert (caught.value.exit_code, cloud.calls) == (1, ["create_security_group"])


def test_instances_that_ec2_lists_late_are_terminated_too():
    cloud = FakeCloud(faults=[Fault("run_instances", OutcomeUnknownError("no answer"), after=True)], delay=5)

    with pytest.raises(OutcomeUnknownError):
        start(cloud)

    assert cloud.left == []


def test_known_instances_that_ec2_does_not_list_yet_are_terminated_by_id():
    cloud = FakeCloud(faults=[Fault("console_output", BakeError("no"))], delay=0)
    connection = FakeHeadConnection(cloud)
    connection.prepare = lambda: setattr(cloud, "delay", 3)

    with pytest.raises(BakeError):
        start(cloud, connection)

    assert cloud.left == []


def test_a_name_in_use_is_refused_and_the_existing_cluster_is_unchanged():
    cloud = FakeCloud()
    start(cloud)
    before, connection = (
        (list(cloud.instances), list(cloud.security_groups)),
        FakeHeadConnection(cloud, secrets=True),
    )

    with pytest.raises(BakeError, match="dask"):
        start(cloud, connection, plan=a_plan(launch_id="launch2"))

    assert (cloud.instances, cloud.security_groups) == before
    assert connection.secrets


def test_a_launch_into_another_vpc_that_keeps_the_name_is_unchanged():
    theirs = FakeCloud()
    start(theirs)
    rival = replace(theirs.security_groups[0], vpc_id="vpc-9")
    cloud = FakeCloud(security_groups=[rival])

    with pytest.raises(BakeError, match="a cluster named dask already exists, or is being launched"):
        start(cloud, plan=a_plan(launch_id="launch2"))

    assert (cloud.security_groups, cloud.instances) == ([rival], [])


def test_a_foreign_security_group_of_the_same_name_is_unchanged():
    cloud = FakeCloud(security_groups=[SecurityGroup("sg-9", "dask-bake-dask", "vpc-1")])

    with pytest.raises(BakeError, match="dask-bake did not create it"):
        start(cloud)

    assert cloud.left == ["sg-9"]


def test_resources_that_cannot_be_removed_are_named_with_the_down_command():
    cloud = FakeCloud(faults=[Fault("console_output", BakeError("no"))], immortal=True)

    with pytest.raises(LeftoverError, match=r"i-0 .*i-1 .*i-2 .*dask-bake-dask") as caught:
        start(cloud)

    assert (caught.value.exit_code, hint_of(caught.value)) == (3, "dask-bake down dask")


@pytest.mark.parametrize(
    "operation", ["create_security_group", "authorize", "run_instances", "console_output"]
)
def test_a_defect_is_reported_as_one_after_everything_is_removed(operation):
    cloud = FakeCloud(faults=[Fault(operation, KeyError("workers"))])

    with pytest.raises(BakeError) as caught:
        start(cloud)

    assert str(caught.value).startswith("KeyError: 'workers'; this is a defect in dask-bake; nothing is left")
    assert (caught.value.exit_code, str(caught.value.defect), cloud.left) == (1, "'workers'", [])


def test_a_defect_in_the_clean_up_too_names_what_may_be_left():
    defects = [Fault("nodes", ValueError("monitor"), nth) for nth in range(1, 9)]
    cloud = FakeCloud(faults=[*defects, Fault("terminate", ValueError("monitor"))])

    with pytest.raises(LeftoverError, match=r"i-0; instance i-1; .*dask-bake:cluster=dask") as caught:
        start(cloud)

    assert "ValueError: monitor; this is a defect in dask-bake" in caught.value.message
    assert isinstance(caught.value.defect, ValueError)


def test_a_defect_after_the_launch_names_the_cluster_that_is_up():
    cloud = FakeCloud()
    cluster = start(cloud)

    message = "the cluster dask is running and costs money"
    with pytest.raises(LeftoverError, match=message) as caught, staying(cluster):
        raise TypeError("no such column")

    assert (isinstance(caught.value.defect, TypeError), hint_of(caught.value)) == (
        True,
        "dask-bake down dask",
    )


def test_a_second_interrupt_ends_the_clean_up_and_names_what_is_left():
    cloud = FakeCloud(
        faults=[Fault("console_output", KeyboardInterrupt()), Fault("terminate", KeyboardInterrupt())]
    )

    with pytest.raises(LeftoverError, match="interrupted"):
        start(cloud)


def test_an_interrupt_after_the_launch_says_that_the_cluster_is_running():
    cloud = FakeCloud()
    connection = FakeHeadConnection(cloud)
    connection.close = interrupted

    with pytest.raises(
        LeftoverError, match="interrupted; the cluster dask is running and costs money"
    ) as caught:
        start(cloud, connection)

    assert hint_of(caught.value) == "dask-bake down dask"
    assert len(cloud.left) == 3 + 2


def interrupted():
    raise KeyboardInterrupt


def test_if_ec2_cannot_be_reached_during_clean_up_the_known_instances_are_named():
    broken = [Fault("nodes", BakeError("no network"), nth=n) for n in range(1, 9)]
    cloud = FakeCloud(faults=broken)

    with pytest.raises(LeftoverError, match="i-0; instance i-1; instance i-2"):
        start(cloud)


def test_a_request_of_unknown_outcome_is_named_among_what_may_be_left():
    lost = [
        Fault("run_instances", OutcomeUnknownError("no answer"), after=True),
        *(Fault("nodes", BakeError("you may not"), nth=n) for n in (1, 2)),
    ]
    cloud = FakeCloud(faults=lost)

    with pytest.raises(LeftoverError) as caught:
        start(cloud)

    assert "i-0" in cloud.left
    assert "(sg-0)" in caught.value.message
    assert "; whatever is tagged dask-bake:cluster=dask. The reason: you may not" in caught.value.message


def test_down_removes_the_cluster_and_its_keystore_and_no_other_cluster():
    cloud, clock = FakeCloud(), FakeClock()
    start(cloud)
    start(cloud, plan=a_plan(name="other", launch_id="launch2"))
    connection = FakeHeadConnection(cloud, secrets=True)
    other = find(cloud, CLOUD, "other")

    take_down(find(cloud, CLOUD, "dask"), cloud, connection, notify=[].append, clock=clock, sleep=clock.sleep)

    assert (list_clusters(cloud, CLOUD), connection.secrets) == ((other,), False)


def test_down_of_a_removed_cluster_is_wrong_use():
    cloud, clock = FakeCloud(), FakeClock()
    start(cloud)
    connection = FakeHeadConnection(cloud, secrets=True)
    take_down(find(cloud, CLOUD, None), cloud, connection, notify=[].append, clock=clock, sleep=clock.sleep)

    assert (cloud.left, connection.secrets, list_clusters(cloud, CLOUD)) == ([], False, ())
    with pytest.raises(UsageError, match="dask"):
        find(cloud, CLOUD, "dask")


def test_a_cluster_is_found_by_its_tags_alone():
    cloud = FakeCloud()
    launched = start(cloud, plan=a_plan(name="taxi"))

    assert find(cloud, CLOUD, None) == launched


def test_with_several_clusters_a_name_is_required():
    cloud = FakeCloud()
    start(cloud)
    start(cloud, plan=a_plan(name="taxi", launch_id="launch2"))

    with pytest.raises(UsageError, match="more than one cluster: dask, taxi"):
        find(cloud, CLOUD, None)


def test_a_security_group_without_nodes_is_a_cluster_that_can_be_taken_down():
    cloud = FakeCloud()
    cloud.create_security_group("dask-bake-dask", vpc_id="vpc-1", tags=a_plan().group_tags)

    assert find(cloud, CLOUD, "dask").nodes == ()


def test_an_interrupt_after_a_failed_clean_up_does_not_hide_what_is_left():
    cloud = FakeCloud(
        faults=[Fault("console_output", KeyboardInterrupt()), Fault("terminate", KeyboardInterrupt())]
    )
    connection = FakeHeadConnection(cloud)
    connection.close = interrupted

    with pytest.raises(LeftoverError, match=r"i-0 .*i-1 .*i-2 .*dask-bake-dask"):
        start(cloud, connection)


def test_an_interrupt_after_a_complete_clean_up_has_no_further_message():
    cloud = FakeCloud(faults=[Fault("console_output", KeyboardInterrupt())])
    connection = FakeHeadConnection(cloud)
    connection.close = interrupted

    with pytest.raises(KeyboardInterrupt):
        start(cloud, connection)
    assert cloud.left == []


@pytest.mark.parametrize(
    ("options", "look"),
    [({"limit": 3}, "dask-bake ssh dask 2 --cloud aws"), ({"answers": False}, "ssh dask")],
)
def test_with_keep_on_failure_nodes_that_are_not_ready_are_kept_and_the_hint_has_the_ssh_command(
    options, look
):
    cloud = FakeCloud()
    connection = FakeHeadConnection(cloud, **options)
    plan = a_plan(keep_on_failure=True)

    with pytest.raises(LeftoverError) as caught:
        start(cloud, connection, plan=plan)

    assert caught.value.exit_code == 3
    assert "waited 300 s for" in caught.value.message
    assert all(f"{each} (running)" in caught.value.message for each in ("i-0", "i-1", "i-2"))
    assert "(sg-0)" in caught.value.message
    hint = hint_of(caught.value, "--cloud", "aws")
    assert look in hint
    assert "dask-bake down dask --cloud aws" in hint
    assert len(cloud.left) == 3 + 2
    assert (connection.secrets, connection.closed) == (True, True)


def test_if_the_clean_up_fails_for_the_same_reason_it_is_said_once():
    expired = BakeError("expired")
    faults = [Fault("run_instances", expired, nth=2), *(Fault("nodes", expired, nth=n) for n in range(1, 9))]

    with pytest.raises(LeftoverError) as caught:
        start(FakeCloud(faults=faults))

    assert caught.value.message.count("expired") == 1
    assert "something may be left that costs money" in caught.value.message


def test_with_keep_on_failure_nothing_is_kept_if_all_nodes_have_ended():
    cloud = FakeCloud(dying=dict.fromkeys(("i-0", "i-1", "i-2"), "Client.InternalError: no"))

    with pytest.raises(NotReadyError):
        start(cloud, plan=a_plan(keep_on_failure=True))
    assert cloud.left == []


@pytest.mark.parametrize(
    "fault",
    [
        Fault("run_instances", QuotaError("too small"), nth=2),
        Fault("console_output", BakeError("you may not")),
    ],
)
def test_with_keep_on_failure_a_refused_launch_is_still_cleaned_up(fault):
    cloud = FakeCloud(faults=[fault])

    with pytest.raises(BakeError) as caught:
        start(cloud, plan=a_plan(keep_on_failure=True))

    assert (caught.value.exit_code, cloud.left) == (1, [])


def test_with_keep_on_failure_nodes_are_kept_if_ec2_does_not_respond_at_the_deadline():
    silent = [Fault("nodes", TransientError("EC2 could not be reached"), nth=n) for n in range(1, 3000)]
    cloud = FakeCloud(faults=silent, console="")

    with pytest.raises(LeftoverError, match=r"waited 300 s for the head to run.*EC2 could not be reached"):
        start(cloud, plan=a_plan(keep_on_failure=True))

    assert len(cloud.left) == 3 + 2


def test_if_the_clean_up_fails_too_the_error_has_both_reasons():
    expired = [Fault("nodes", BakeError("expired"), nth=n) for n in range(1, 9)]
    cloud = FakeCloud(faults=[Fault("run_instances", QuotaError("too small"), nth=2), *expired])

    with pytest.raises(LeftoverError) as caught:
        start(cloud)

    first, second = caught.value.message.splitlines()
    assert (first.split(";")[0], "The reason: expired" in second) == ("too small", True)
    assert hint_of(caught.value) == "dask-bake down dask"
