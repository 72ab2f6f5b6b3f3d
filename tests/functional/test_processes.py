"""Several ``dask-bake`` processes on pretended machines: concurrent, interrupted and killed."""

import os
import pty
import resource
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from fake_local_cloud import DEBIAN, left
from forked_commands import SUPPORT, TIMEOUT, Forks, Process, wait_for
from resource_check import check, resources

REDIRECTED = {"full": ">/dev/full", "unread": "", "closed": ">&-"}
PART = "In the launcher's process"


@pytest.fixture(scope="module")
def forks(tmp_path_factory):
    forks = Forks(tmp_path_factory.mktemp("forks"))
    yield forks
    forks.close()


@pytest.fixture
def started(cloud, tmp_path, forks):
    processes = []

    def start(command: str, name: str = "dask", *options: str, **about) -> Process:
        if command == "launch":
            options = (*options, "--ami", DEBIAN.id)
        environ = {**os.environ, "XDG_STATE_HOME": str(tmp_path)}
        begun = forks.start(f"pretended-{command}", cloud.url, name, *options, environ=environ, **about)
        processes.append(begun)
        return begun

    yield start
    for process in processes:
        process.kill()


@pytest.fixture
def state(tmp_path):
    """Return the folder with the keys of the cluster dask, as soon as there is one."""

    def state() -> Path:
        (folder,) = (tmp_path / "dask-bake").glob("local-us-east-1-dask-*")
        return folder

    return state


def words(output: str) -> str:
    return " ".join(output.split())


def wait_until_struck(cloud, rule: str) -> None:
    """Wait until a request has met the rule."""
    wait_for(lambda: next(each for each in cloud.faults() if each["id"] == rule)["struck"])


def check_resources(cloud, before, code: int, output: str) -> None:
    """Fail unless the resources match the launch's result."""
    check(before, resources(cloud.ec2), code=code, message=output, nodes=3)


def test_of_ten_launches_of_one_name_one_succeeds_and_nine_change_nothing(cloud, started):
    ends = [process.wait() for process in [started("launch", "dask") for _ in range(10)]]

    assert sorted(code for code, _ in ends) == [0, *9 * [2]], ends
    assert all("a cluster named dask already exists" in output for code, output in ends if code == 2)
    assert len(left(cloud)) == 3 + 2
    assert [len(cloud.requests_for(action)) for action in ("TerminateInstances", "DeleteSecurityGroup")] == [
        0,
        0,
    ]


@pytest.mark.parametrize("shown", [(), ("--for-people",)], ids=["json", "for-people"])
@pytest.mark.parametrize("stdout", REDIRECTED)
def test_a_launch_that_cannot_print_its_result_reports_that_the_cluster_is_up(cloud, tmp_path, stdout, shown):
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "pretended_commands", "pretended-launch", cloud.url, "dask", *shown]
    output = subprocess.run(
        ["sh", "-c", f'exec "$@" {REDIRECTED[stdout]}', "sh", *command, "--ami", DEBIAN.id],
        cwd=SUPPORT,
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path)},
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        timeout=TIMEOUT,
    )
    os.close(writing)

    words = " ".join(output.stderr.split())
    assert output.returncode == 3, words
    assert "the cluster dask is running and costs money" in words
    assert "dask-bake down dask" in words
    assert "Traceback" not in words
    assert len(left(cloud)) == 3 + 2


def test_two_downs_at_once_take_a_cluster_down(cloud, started):
    assert started("launch", "dask").wait()[0] == 0

    ends = [process.wait() for process in (started("down", "dask"), started("down", "dask"))]

    # The second may have found nothing left.
    assert ends[0][0] == 0 or ends[1][0] == 0
    assert {code for code, _ in ends} <= {0, 2}, ends
    assert left(cloud) == []


def test_down_ends_a_cluster_that_is_being_launched(cloud, started):
    launch = started("launch", "dask", "--never-ready")
    wait_for(lambda: len(cloud.requests_for("RunInstances")) == 2)

    down = started("down", "dask").wait()

    assert down[0] == 0, down
    code, output = launch.wait()
    assert code == 1, output
    assert "ended while the cluster was launched" in " ".join(output.split())
    assert left(cloud) == []


@pytest.mark.parametrize(
    ("action", "skip", "number"),
    [
        ("CreateSecurityGroup", 0, signal.SIGINT),
        pytest.param("CreateSecurityGroup", 1, signal.SIGTERM, marks=pytest.mark.slow),
        ("AuthorizeSecurityGroupIngress", 0, signal.SIGTERM),
        pytest.param("AuthorizeSecurityGroupIngress", 1, signal.SIGINT, marks=pytest.mark.slow),
        pytest.param("RunInstances", 0, signal.SIGINT, marks=pytest.mark.slow),
        ("RunInstances", 1, signal.SIGTERM),
        ("DescribeInstances", 1, signal.SIGHUP),
    ],
)
def test_an_interrupted_launch_removes_what_ec2_creates_after_the_signal(
    cloud, started, action, skip, number
):
    """The request is in flight when the signal arrives, and is carried out afterwards."""
    rule = cloud.fault("delay", action, skip=skip, seconds=1)
    process = started("launch", "dask")
    wait_until_struck(cloud, rule)
    process.send_signal(number)

    code, output = process.wait()

    assert (code, left(cloud)) == (130, []), output
    assert "Interrupted; this command has left nothing behind." in output


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_a_second_interrupt_names_the_leftovers_and_down_removes_them(cloud, started, fault_row, second):
    rule = cloud.fault("delay", "RunInstances", skip=1, seconds=1)
    slow = cloud.fault("delay", "TerminateInstances", seconds=2)
    process = started("launch")
    wait_until_struck(cloud, rule)
    process.send_signal(signal.SIGINT)
    wait_until_struck(cloud, slow)
    with fault_row(
        PART,
        "Ctrl-C during a launch, and again during its clean-up",
        "exit code 3, with the resources that remain and the command that removes them",
        left="the named resources, until `down`",
    ):
        process.send_signal(second)
        code, output = process.wait()

    assert code == 3, output
    assert "dask-bake down dask" in output
    # EC2 starts the workers after the signal, so their ids are unknown.
    assert "whatever is tagged dask-bake:cluster=dask" in words(output)
    assert started("down").wait()[0] == 0
    assert left(cloud) == []


def test_a_launch_interrupted_repeatedly_reports_its_leftovers_correctly(cloud, started):
    """As with a key held down: no signal separates the teardown from its report."""
    before = resources(cloud.ec2)
    rule = cloud.fault("delay", "DescribeInstances", skip=1, seconds=1)
    process = started("launch", "dask", "--never-ready")
    wait_until_struck(cloud, rule)
    while not process.has_ended:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)

    code, output = process.wait()

    assert "Traceback" not in output
    # If all signals came before the teardown, it completes.
    assert (code, left(cloud)) == (130, []) or code == 3, output
    if code == 3:
        assert "dask-bake down dask" in output
        check_named(cloud, before, output)
        assert started("down").wait()[0] == 0
    assert left(cloud) == []


def check_named(cloud, before, output: str) -> None:
    """Fail unless all remaining resources are named; others may have ended since."""
    unnamed = [each for each in resources(cloud.ec2) - before if not each.is_named_in(output)]
    assert not unnamed, f"{unnamed} is there, and was not named: {output}"


def test_closing_the_terminal_undoes_the_launch(cloud, started, fault_row):
    ours, theirs = pty.openpty()
    rule = cloud.fault("delay", "RunInstances", skip=1, seconds=1)
    process = started("launch", "dask", "--never-ready", terminal=os.ttyname(theirs))
    wait_until_struck(cloud, rule)
    os.close(theirs)
    with fault_row(
        PART,
        "the terminal is closed during a launch",
        "the launcher removes what it created; exit code 130",
        left="nothing",
    ):
        os.close(ours)
        code, _ = process.wait()

    assert (code, left(cloud)) == (130, [])


def test_a_launch_that_ignores_hangup_continues(cloud, started):
    rule = cloud.fault("delay", "RunInstances", skip=1, seconds=0.5)
    process = started("launch", ignored=[signal.SIGHUP])
    wait_until_struck(cloud, rule)
    process.send_signal(signal.SIGHUP)

    assert process.wait()[0] == 0
    assert len(left(cloud)) == 3 + 2


def test_an_interrupted_launch_is_undone_without_a_writable_stderr(cloud, started):
    """As when ``tee`` was ended by the same Ctrl-C, or the log's disk is full."""
    rule = cloud.fault("delay", "DescribeInstances", skip=1, seconds=1)
    process = started("launch", "dask", "--never-ready", stderr="/dev/full")
    wait_until_struck(cloud, rule)
    process.send_signal(signal.SIGINT)

    assert (process.wait()[0], left(cloud)) == (130, [])


@pytest.mark.parametrize(
    ("action", "skip"),
    [
        ("CreateSecurityGroup", 0),
        ("AuthorizeSecurityGroupIngress", 0),
        ("CreateSecurityGroup", 1),
        ("RunInstances", 0),
        ("RunInstances", 1),
        ("DescribeInstances", 1),
    ],
)
def test_down_finds_what_a_killed_launch_left(cloud, started, fault_row, action, skip):
    """The request is in flight when the launcher is killed, and is carried out afterwards."""
    rule = cloud.fault("delay", action, skip=skip, seconds=0.5)
    process = started("launch")
    wait_until_struck(cloud, rule)
    process.send_signal(signal.SIGKILL)
    wait_for(lambda: any(rule in each["faults"] for each in cloud.requests_for(action)))
    assert left(cloud) != []

    with fault_row(
        PART,
        "the launcher is killed (SIGKILL) during any of its requests",
        "`down` finds all resources by their tags and removes them",
        left="nothing, after `down`",
    ):
        assert started("down").wait()[0] == 0

    assert left(cloud) == []


@pytest.mark.parametrize(
    ("number", "action", "code", "fault", "happens"),
    [
        (
            signal.SIGINT,
            "DescribeInstances",
            130,
            "Ctrl-C while `down` looks for the cluster",
            "`down` reports that nothing was ended; the next `down` removes everything",
        ),
        (
            signal.SIGTERM,
            "TerminateInstances",
            3,
            "SIGTERM while `down` terminates the instances",
            "exit code 3, with the resources that remain; the next `down` removes them",
        ),
        (
            signal.SIGINT,
            "DeleteSecurityGroup",
            3,
            "Ctrl-C while `down` deletes the security groups",
            "exit code 3, with the resources that remain; the next `down` removes them",
        ),
        (
            signal.SIGHUP,
            "TerminateInstances",
            0,
            "the terminal is closed while `down` terminates the instances",
            "`down` continues and finishes",
        ),
        (
            signal.SIGKILL,
            "TerminateInstances",
            -signal.SIGKILL,
            "`down` is killed (SIGKILL) while it terminates the instances",
            "the next `down` removes what remains",
        ),
        (
            signal.SIGKILL,
            "DeleteSecurityGroup",
            -signal.SIGKILL,
            "`down` is killed (SIGKILL) while it deletes the security groups",
            "the next `down` removes what remains",
        ),
    ],
    ids=lambda each: each.name if isinstance(each, signal.Signals) else "",
)
def test_an_interrupted_down_names_the_leftovers_and_the_next_one_removes_them(
    cloud, started, fault_row, number, action, code, fault, happens
):
    assert started("launch").wait()[0] == 0
    rule = cloud.fault("delay", action, seconds=0.5)
    process = started("down")
    wait_until_struck(cloud, rule)
    with fault_row(
        PART,
        fault,
        happens,
        left="nothing" if code == 0 else "nothing, after the next `down`",
    ):
        process.send_signal(number)
        wait, output = process.wait()
        assert wait == code, output
        if code == 3:
            check_named(cloud, frozenset(), output)
        elif code == 130:
            assert "interrupted before anything was ended" in words(output)
            assert len(left(cloud)) == 3 + 2
        # Requests in flight may have been carried out since.
        assert (code == 0 and not left(cloud)) or started("down").wait()[0] in (0, 2)

    assert left(cloud) == []


def test_a_suspended_launch_that_lost_its_connection_continues(cloud, started, fault_row):
    """As on a laptop whose lid was closed: EC2 has started the workers, but its response is lost."""
    rule = cloud.fault("delay", "RunInstances", skip=1, seconds=0.3)
    lost = cloud.fault("drop-after", "RunInstances", skip=1)
    process = started("launch")
    wait_until_struck(cloud, rule)
    process.send_signal(signal.SIGSTOP)
    wait_for(lambda: any(lost in each["faults"] for each in cloud.requests_for("RunInstances")))
    with fault_row(
        PART,
        "the laptop sleeps during a launch (SIGSTOP; the response to the current request is lost)",
        "after SIGCONT the launcher retries with the same client token and continues",
        left="the cluster",
    ):
        process.send_signal(signal.SIGCONT)
        code, output = process.wait()

    assert code == 0, output
    assert len(left(cloud)) == 3 + 2


def test_a_full_disk_before_the_key_is_written_starts_nothing(cloud, started, fault_row):
    before = resources(cloud.ec2)
    with fault_row(
        PART,
        "the disk is full before the SSH key is written",
        "the launcher starts nothing; exit code 1",
        left="nothing",
    ):
        code, output = started("launch", largest_file=0).wait()

    assert code == 1, output
    assert "the cluster's key could not be stored in" in words(output)
    check_resources(cloud, before, code, output)
    assert not cloud.requests_for("RunInstances")


def test_a_full_disk_before_the_host_key_is_written_undoes_the_launch(cloud, started, fault_row):
    """From then on no file of the launcher can grow."""
    before = resources(cloud.ec2)
    rule = cloud.fault("delay", "RunInstances", skip=1, seconds=0.5)
    process = started("launch")
    wait_until_struck(cloud, rule)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (0, 0))
    with fault_row(
        PART,
        "the disk is full once the instances run (the host key cannot be stored)",
        "the launcher removes what it created; exit code 1",
        left="nothing",
    ):
        code, output = process.wait()

    assert code == 1, output
    assert "the cluster's host key could not be stored in" in words(output)
    check_resources(cloud, before, code, output)


def test_a_full_disk_for_the_cluster_file_reports_that_the_cluster_is_up(cloud, started, fault_row):
    before = resources(cloud.ec2)
    with fault_row(
        PART,
        "the disk is full when `--file` is written",
        "exit code 3; the message says that the cluster is up, and how to end it",
        left="the cluster",
    ):
        code, output = started("launch", "dask", "--file", "/dev/full").wait()

    assert code == 3, output
    assert "/dev/full could not be written: No space left on device" in words(output)
    assert "dask-bake down dask" in words(output)
    check_resources(cloud, before, code, words(output))


def test_deleting_the_state_folder_undoes_the_launch(cloud, started, state, fault_row):
    before = resources(cloud.ec2)
    rule = cloud.fault("delay", "RunInstances", skip=1, seconds=0.5)
    process = started("launch")
    wait_until_struck(cloud, rule)
    shutil.rmtree(state())
    with fault_row(
        PART,
        "the folder with the cluster's keys is deleted during the launch",
        "the launcher removes what it created; exit code 1",
        left="nothing",
    ):
        code, output = process.wait()

    assert code == 1, output
    assert "could not be stored" in words(output)
    check_resources(cloud, before, code, output)


def test_a_cluster_whose_keys_are_lost_is_listed_and_ended_but_not_connected_to(
    cloud, started, state, fault_row
):
    assert started("launch").wait()[0] == 0
    shutil.rmtree(state())

    with fault_row(
        PART,
        "the folder with a cluster's keys is lost",
        "`status` and `ssh` report it; `down` needs only the tags",
        left="nothing, after `down`",
    ):
        seen = started("status").wait()
        entered = started("ssh").wait()
        down = started("down").wait()

    for _, output in (seen, entered):
        assert "the key of cluster dask is not on this machine" in words(output), output
    assert (seen[0], entered[0], down[0]) == (0, 1, 0), (seen, entered, down)
    assert "Hint" in entered[1]
    assert left(cloud) == []


def test_keep_on_failure_keeps_a_cluster_that_did_not_become_ready(cloud, started, state, fault_row):
    before = resources(cloud.ec2)
    with fault_row(
        PART,
        "nodes do not become ready, and `--keep-on-failure` was given",
        "the launcher keeps everything; exit code 3, with the resources, the SSH command and the command"
        " that removes them",
        left="the named resources, until `down`",
    ):
        process = started("launch", "dask", "--never-ready", "--keep-on-failure", "--timeout", "1")
        code, output = process.wait()

    assert code == 3, output
    assert "--keep-on-failure keeps these resources" in words(output)
    assert "dask-bake ssh dask" in words(output)
    assert "dask-bake down dask" in words(output)
    check_resources(cloud, before, code, output)
    assert len(left(cloud)) == 3 + 2
    assert (state() / "id_ed25519").exists()
    assert started("down").wait()[0] == 0
    assert left(cloud) == []


@pytest.mark.parametrize("trouble", ["no room", "an interrupt"])
def test_keep_on_failure_does_not_keep_after_interrupts_and_missing_capacity(cloud, started, trouble):
    if trouble == "no room":
        cloud.fault("error", "RunInstances", skip=1, times=0, code="InsufficientInstanceCapacity")
    rule = cloud.fault("delay", "DescribeInstances", skip=1, seconds=0.3)
    process = started("launch", "dask", "--keep-on-failure", "--never-ready")
    if trouble == "an interrupt":
        wait_until_struck(cloud, rule)
        process.send_signal(signal.SIGINT)

    code, output = process.wait()

    assert (code, left(cloud)) == (1 if trouble == "no room" else 130, []), output
