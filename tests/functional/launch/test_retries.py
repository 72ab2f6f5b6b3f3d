"""Failed requests of launches and removals are retried, and nothing is made twice."""

import base64
import json
from collections import Counter
from contextlib import contextmanager

import pytest

from dask_bake import clouds
from dask_bake.commands import clusters
from dask_bake.commands import launch as launch_command
from dask_bake.ec2 import api
from dask_bake.ec2.retry import RetryPolicy
from dask_bake.errors import LeftoverError, QuotaError
from dask_bake.options.launch import LaunchOptions
from dask_bake.view.terminal import Terminal
from fake_local_cloud import DEBIAN, left
from fakes import AllRegistered, Ec2WithHostKey, FakeClock, hint_of
from isolation import KEY_PAIR


def connect(cloud):
    """Return the cloud's EC2 with retries that do not sleep."""
    terminal, clock = Terminal(), FakeClock()
    there = clouds.local_cloud(cloud.url, KEY_PAIR, None)
    retries = RetryPolicy(terminal.notify, clock, clock.sleep, jitter=lambda: 1.0)
    return there, Ec2WithHostKey(api.connect(there, terminal.notify, retries=retries)), terminal


def launch(cloud, terminal=None, **options) -> int:
    there, edge, own = connect(cloud)
    chosen = {"count": 3, "nprocs": 2, "ami": DEBIAN.id, "allow_mismatch": True, **options}
    return launch_command.run(
        LaunchOptions(**chosen),
        there,
        edge,
        terminal or own,
        dry_run=False,
        json_output=True,
        make_connection=lambda *_: AllRegistered(edge),
    )


def down(cloud) -> int:
    there, edge, terminal = connect(cloud)
    ending = clusters.Ending()
    return clusters.down(there, edge, terminal, ending, name=None, asks=False, json_output=True)


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def leftovers(cloud):
    return [*left(cloud), *(each["KeyName"] for each in cloud.ec2.describe_key_pairs()["KeyPairs"])]


@pytest.mark.parametrize("kind", ["drop-before", "drop-after", "truncate", "html"])
@pytest.mark.parametrize("action", ["CreateSecurityGroup", "ImportKeyPair", "RunInstances"])
def test_a_creation_of_unknown_outcome_is_retried_and_done_once(cloud, capsys, fault_row, action, kind):
    """ImportKeyPair is used when there is no user-data to carry the key."""
    cloud.fault(kind, action, times=2)

    with fault_row(
        "At launch",
        "twice, the response to a request that creates something is lost, truncated or an HTML page",
        "the launcher retries with the same client token; everything is created once",
        left="the cluster",
    ):
        assert launch(cloud, provision=False, nprocs=1) == 0
        assert len(json.loads(capsys.readouterr().out)["nodes"]) == 3
        assert sorted(leftovers(cloud)[-3:]) == ["dask-bake-dask", "dask-bake-dask", "dask-bake-dask/ssh"]
        assert len(leftovers(cloud)) == 3 + 2 + 1
        made = Counter(
            request["parameters"].get("ClientToken") for request in cloud.requests_for("RunInstances")
        )
        assert sorted(made.values()) == ([1, 3] if action == "RunInstances" else [1, 1])


@pytest.mark.parametrize("kind", ["drop-before", "drop-after", "error"])
def test_a_retried_request_is_identical_including_user_data(cloud, capsys, kind):
    about = {"code": "RequestLimitExceeded"} if kind == "error" else {}
    cloud.fault(kind, "RunInstances", times=2, **about)

    assert launch(cloud) == 0

    requests = [request["parameters"] for request in cloud.requests_for("RunInstances")]
    assert len(requests) == 4
    assert requests[0] == requests[1] == requests[2]
    assert requests[0]["UserData"].startswith(base64.b64encode(b"#cloud-config")[:16].decode())


@pytest.mark.parametrize("kind", ["drop-before", "drop-after", "truncate", "html"])
def test_removal_goes_on_whichever_of_its_requests_fail(cloud, capsys, fault_row, kind):
    launch(cloud, provision=False, nprocs=1)
    for action in ("TerminateInstances", "DeleteSecurityGroup", "DeleteKeyPair", "DescribeInstances"):
        cloud.fault(kind, action, times=2)

    with fault_row(
        "At the end of a cluster",
        "twice for each request, the response is lost, truncated or an HTML page",
        "the launcher retries",
        left="nothing",
    ):
        assert down(cloud) == 0
        assert leftovers(cloud) == []


def test_a_failed_launch_is_removed_while_all_requests_are_throttled(cloud, capsys):
    cloud.fault("error", "RunInstances", code="VcpuLimitExceeded", skip=1)
    for action in ("CreateSecurityGroup", "TerminateInstances", "DescribeInstances", "DeleteSecurityGroup"):
        skip = action == "DescribeInstances"  # the look-up before the launch
        cloud.fault("error", action, code="RequestLimitExceeded", times=4, skip=skip)

    with pytest.raises(QuotaError):
        launch(cloud)

    assert leftovers(cloud) == []
    assert "AWS is throttling CreateSecurityGroup" in capsys.readouterr().err
    assert [request["code"] for request in cloud.requests_for("RunInstances")] == [None, "VcpuLimitExceeded"]


def test_an_instance_that_is_not_visible_yet_is_ended_when_it_becomes_visible(cloud):
    cloud.fault("unseen", seconds=2)
    cloud.fault("error", "RunInstances", code="VcpuLimitExceeded", skip=1)

    with pytest.raises(QuotaError):
        launch(cloud)

    assert leftovers(cloud) == []


def test_credentials_that_expire_during_teardown_are_reported_with_all_leftovers(cloud, fault_row):
    cloud.fault("error", "RunInstances", code="VcpuLimitExceeded", skip=1)
    before = {"DescribeInstances": 1, "DescribeSecurityGroups": 2}  # look-ups of the launch itself
    for action in ("TerminateInstances", *before):
        skip = before.get(action, 0)
        cloud.fault("error", action, code="ExpiredToken", times=0, skip=skip)

    with fault_row(
        "At launch",
        "a launch fails, and the credentials expire during its clean-up",
        "no request is retried; exit code 3, with the resources that remain; `dask-bake down` removes them"
        " after the next login",
        left="what the launch had created",
    ):
        with pytest.raises(LeftoverError) as caught:
            launch(cloud)
        terminations = len(cloud.requests_for("TerminateInstances"))
        cloud.clear_faults()
        assert all(piece in caught.value.message for piece in left(cloud))
        assert "AWS does not accept the credentials" in caught.value.message
        assert (caught.value.exit_code, hint_of(caught.value)) == (3, "dask-bake down dask")
        assert terminations <= 1

    assert down(cloud) == 0
    assert leftovers(cloud) == []


def test_an_instance_that_may_not_be_terminated_does_not_keep_others_alive(cloud, capsys, fault_row):
    launch(cloud)
    kept = next(
        instance["InstanceId"]
        for reservation in cloud.ec2.describe_instances()["Reservations"]
        for instance in reservation["Instances"]
    )
    where = {"InstanceId.*": kept}
    cloud.fault("error", "TerminateInstances", code="OperationNotPermitted", where=where, times=0)

    with fault_row(
        "At the end of a cluster",
        "an instance is protected from termination",
        "the other instances are terminated; exit code 3, with what remains; once the protection is off,"
        " the next `down` removes it",
        left="that instance, the security groups",
    ):
        with pytest.raises(LeftoverError, match=rf"{kept} \(running\).*OperationNotPermitted"):
            down(cloud)
        assert [piece for piece in left(cloud) if piece.startswith("i-")] == [kept]

    cloud.clear_faults()
    assert down(cloud) == 0
    assert left(cloud) == []


class InterruptedTerminal(Terminal):
    """A terminal whose progress view is interrupted just after it has ended."""

    @contextmanager
    def watching(self):
        with super().watching() as view:
            yield view
            raise KeyboardInterrupt


def test_an_interrupt_after_the_launch_reports_that_the_cluster_is_up(cloud):
    with pytest.raises(LeftoverError, match="interrupted; the cluster dask is running and costs money"):
        launch(cloud, InterruptedTerminal())

    assert len(left(cloud)) == 3 + 2


def test_the_known_instances_are_terminated_where_they_may_not_be_listed(cloud):
    cloud.fault("error", "RunInstances", code="VcpuLimitExceeded", skip=1)
    cloud.fault("error", "DescribeInstances", code="UnauthorizedOperation", times=0, skip=1)

    with pytest.raises(LeftoverError) as caught:
        launch(cloud)

    cloud.clear_faults()
    assert "DescribeInstances" in caught.value.message
    assert len(cloud.requests_for("TerminateInstances")) == 1
    assert [each for each in left(cloud) if each.startswith("i-")] == []
