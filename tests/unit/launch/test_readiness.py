"""Waiting for a launched cluster: its nodes, the head's host key and the workers."""

import re

import pytest

from dask_bake.errors import BakeError, NotReadyError, OutcomeUnknownError, TransientError
from dask_bake.events import ClusterSeen, Note, Output
from dask_bake.launch.executor import launch
from fakes import CONSOLE, FakeClock, FakeCloud, FakeHeadConnection, Fault, a_plan
from launching import start


class SlowCloud(FakeCloud):
    """An EC2 in which node 2 stays pending."""

    def _next(self, node):
        return node if node.id == "i-2" and node.state == "pending" else super()._next(node)


WITHOUT_DASK = {"dask": False, "nprocs": 1}
TIMEOUTS = [
    (
        FakeCloud,
        {"limit": 3},
        {},
        "waited 300 s for all workers to register: 3 of 4 workers registered, node 2 is late",
    ),
    (
        FakeCloud,
        {"answers": False, "trouble": "Connection refused."},
        {},
        "waited 300 s for the scheduler to answer through SSH:"
        " 0 of 4 workers registered, node 0 is late; SSH says: Connection refused.",
    ),
    (SlowCloud, {}, WITHOUT_DASK, "waited 300 s for all nodes to run: node 2 is late"),
    (
        FakeCloud,
        {"answers": False, "trouble": "Connection refused."},
        WITHOUT_DASK,
        "waited 300 s for the head to answer through SSH: node 0 is late; SSH says: Connection refused.",
    ),
]


@pytest.mark.parametrize(
    ("kind", "connection", "options", "message"), TIMEOUTS, ids=["workers", "scheduler", "nodes", "ssh"]
)
def test_a_timeout_says_what_was_waited_for_and_shows_the_console_of_late_nodes(
    kind, connection, options, message
):
    cloud, events = kind(), []

    with pytest.raises(NotReadyError) as caught:
        start(cloud, FakeHeadConnection(cloud, **connection), events=events, **options)

    assert caught.value.message == message
    (late,) = re.findall(r"node (\d) is late", message)
    assert [event.line for event in events if isinstance(event, Output)][-1] == f"node {late}: ready"
    assert cloud.left == []


FAILING = """Traceback (most recent call last):
  File "/opt/dask/bin/dask", line 8, in <module>
ModuleNotFoundError: No module named 'nosuchmodule'
dask-worker.service: Main process exited, code=exited, status=1/FAILURE
dask-worker.service: Scheduled restart job, restart counter is at {}.
"""


@pytest.mark.parametrize(
    ("restarts", "message"),
    [
        (
            3,
            "the worker on node 1 does not start, at 3 restarts:"
            " ModuleNotFoundError: No module named 'nosuchmodule'",
        ),
        (
            2,
            "waited 300 s for all workers to register: 0 of 4 workers registered, node 1 is late:"
            " ModuleNotFoundError: No module named 'nosuchmodule'",
        ),
    ],
)
def test_a_worker_that_cannot_start_is_blamed_with_the_error_of_its_journal(restarts, message):
    cloud, events, clock = FakeCloud(), [], FakeClock()
    journal = "".join(FAILING.format(number + 1) for number in range(restarts))
    connection = FakeHeadConnection(cloud, limit=0, journals={"i-1 dask-worker": journal})

    with pytest.raises(NotReadyError) as caught:
        launch(a_plan(), cloud, connection, notify=events.append, clock=clock, sleep=clock.sleep)

    assert caught.value.message == message
    assert (clock.now < 100 + 60) is (restarts == 3)
    lines = [event.line for event in events if isinstance(event, Output)]
    assert f"node 1: dask-worker.service: Scheduled restart job, restart counter is at {restarts}." in lines
    assert cloud.left == []


KILLED = "dask-worker.service: Main process exited, code=killed, status=9/KILL"


@pytest.mark.parametrize(
    ("journal", "cause"),
    [
        (f"Started\n{KILLED}\ndask-worker.service: Failed with result 'signal'.\n", f": {KILLED}"),
        (
            "dask-worker.service: Failed to locate executable /opt/dask/bin/python: No such file\n",
            ": dask-worker.service: Failed to locate executable /opt/dask/bin/python: No such file",
        ),
        ("Usage: dask worker [OPTIONS]\nError: No such option: --nope\n", ": Error: No such option: --nope"),
        ("dask-worker.service: Main process exited, code=exited, status=0/SUCCESS\n", ""),
        ("Started dask-worker.service - Dask workers.\n", ""),
    ],
)
def test_a_late_worker_is_told_with_how_its_service_ended(journal, cause):
    cloud = FakeCloud()

    with pytest.raises(NotReadyError) as caught:
        start(cloud, FakeHeadConnection(cloud, limit=0, journals={"i-1 dask-worker": journal}))

    assert caught.value.message.partition("node 1 is late")[2] == cause


def test_a_scheduler_that_cannot_start_is_blamed_although_ssh_works():
    class Failing(FakeHeadConnection):
        """A head whose SSH works and whose scheduler does not."""

        def registered(self, head):
            return None

    cloud = FakeCloud()
    journal = "".join(FAILING.format(number) for number in range(1, 6))

    with pytest.raises(NotReadyError, match="the scheduler on node 0 does not start, at 5 restarts"):
        start(cloud, Failing(cloud, journals={"i-0 dask-scheduler": journal}))


def test_errors_that_differ_between_restarts_do_not_end_the_wait():
    cloud = FakeCloud()
    journal = "".join(FAILING.format(number).replace("nosuchmodule", f"m{number}") for number in range(1, 6))
    connection = FakeHeadConnection(cloud, limit=0, journals={"i-1 dask-worker": journal})

    with pytest.raises(NotReadyError, match="waited 300 s"):
        start(cloud, connection)


def test_transient_errors_during_a_launch_are_retried_with_one_note():
    silent = [Fault("nodes", OutcomeUnknownError("EC2 could not be reached"), nth=n) for n in range(1, 9)]
    silent += [Fault("console_output", TransientError("AWS is throttling"), nth=n) for n in (1, 2)]
    cloud, events = FakeCloud(faults=silent), []

    cluster = start(cloud, events=events)

    assert len(cluster.nodes) == 3
    assert [event for event in events if isinstance(event, Note)] == [
        Note("Waiting for EC2: EC2 could not be reached.")
    ]


def test_a_launch_fails_if_ec2_does_not_respond_until_the_deadline():
    silent = [Fault("nodes", OutcomeUnknownError("EC2 could not be reached"), nth=n) for n in range(1, 600)]
    cloud = FakeCloud(faults=silent)

    with pytest.raises(BakeError):
        start(cloud)

    assert cloud.left == []


def test_without_a_host_key_on_the_console_the_launch_fails_without_an_ssh_connection():
    cloud = FakeCloud(console="booting\n")
    connection = FakeHeadConnection(cloud)

    with pytest.raises(BakeError, match="host key"):
        start(cloud, connection)

    assert (connection.pinned, connection.queries, cloud.left) == ({}, 0, [])


def test_a_node_that_ends_during_the_launch_is_an_error_with_ec2_s_reason():
    cloud = FakeCloud(dying={"i-2": "Client.VolumeLimitExceeded"})
    connection = FakeHeadConnection(cloud, limit=3)

    with pytest.raises(BakeError, match=r"Client\.VolumeLimitExceeded"):
        start(cloud, connection)

    assert cloud.left == []


def test_a_node_that_failed_to_boot_is_an_error_with_the_cause_of_its_console():
    """EC2 itself only says that the instance shut itself down."""
    cloud = FakeCloud(
        dying={"i-2": "Client.InstanceInitiatedShutdown: Instance initiated shutdown"},
        console=f'{CONSOLE}DASK-BAKE-FAILED init: "the metadata service does not answer"\n',
    )

    with pytest.raises(NotReadyError) as caught:
        start(cloud, FakeHeadConnection(cloud, limit=3))

    assert caught.value.message == (
        "node 2 (i-2) ended while the cluster was launched:"
        " cloud-init failed in init: the metadata service does not answer"
    )


def test_a_failed_boot_of_a_node_that_is_kept_is_named_at_the_deadline():
    cloud = FakeCloud(console=f'{CONSOLE}DASK-BAKE-FAILED modules-config: "why"\n')

    with pytest.raises(NotReadyError, match="node 0 is late: cloud-init failed in modules-config: why"):
        start(cloud, FakeHeadConnection(cloud, answers=False))


def test_each_query_is_an_event_with_all_nodes():
    events = []
    start(FakeCloud(), events=events)

    assert all(len(event.cluster.nodes) == 3 for event in events if isinstance(event, ClusterSeen))


def test_enough_workers_are_a_success_though_ec2_does_not_respond_at_the_deadline():
    """The state of an ended node is queried once more, but does not decide the result."""
    cloud, clock = FakeCloud(dying={"i-2": "Server.SpotInstanceTermination: taken"}), FakeClock()
    connection = FakeHeadConnection(cloud)
    connection.registered = lambda _head: {"10.0.0.5": 2}
    cloud.nodes = silent_once(cloud.nodes, lambda: clock.now >= 100 + 300)

    cluster = launch(
        a_plan(count=4, min_workers=2),
        cloud,
        connection,
        notify=[].append,
        clock=clock,
        sleep=clock.sleep,
    )

    assert [node.id for node in cluster.nodes] == ["i-0", "i-1", "i-3"]


def silent_once(ask, when):
    """Return `ask`, which raises once when `when` is true."""
    left = [OutcomeUnknownError("no answer")]

    def interrupted_once(tags):
        if left and when():
            raise left.pop()
        return ask(tags)

    return interrupted_once


def notes(events):
    return [event.text for event in events if isinstance(event, Note)]


def test_a_launch_succeeds_if_a_worker_ends_and_enough_are_left():
    cloud, events = FakeCloud(dying={"i-2": "Server.SpotInstanceTermination"}), []

    cluster = start(cloud, events=events, count=4, nprocs=2, min_workers=4)

    assert [node.index for node in cluster.nodes] == [0, 1, 3]
    assert any("Server.SpotInstanceTermination" in note for note in notes(events))


def test_a_launch_fails_if_a_worker_ends_and_too_few_are_left():
    cloud = FakeCloud(dying={"i-2": "Client.UserInitiatedShutdown"})

    with pytest.raises(NotReadyError, match=r"Client\.UserInitiatedShutdown"):
        start(cloud, count=4, nprocs=2, min_workers=5)

    assert cloud.left == []


def test_late_workers_are_noted_if_enough_have_registered():
    cloud, events = FakeCloud(), []
    connection = FakeHeadConnection(cloud, limit=5)

    cluster = start(cloud, connection, events=events, count=4, nprocs=2, min_workers=4)

    assert len(cluster.workers) == 3
    assert notes(events) == [
        "The workers of node 3 have not registered; the node is running and costs money."
    ]


def test_a_launch_fails_if_too_few_workers_have_registered():
    cloud = FakeCloud()

    with pytest.raises(NotReadyError, match="3 of 6 workers registered"):
        start(cloud, FakeHeadConnection(cloud, limit=3), count=4, nprocs=2, min_workers=4)

    assert cloud.left == []
