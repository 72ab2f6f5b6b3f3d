"""Several ``dask-bake`` at once, interrupted and killed: real processes on a cloud that is only pretended."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from contract.pretended_cloud import DEBIAN
from contract.test_capacity import left

TESTS = Path(__file__).parents[1]
PATIENCE = 120
REDIRECTED = {"full": ">/dev/full", "unread": "", "closed": ">&-"}


@pytest.fixture
def started(cloud, tmp_path):
    processes = []

    def start(command: str, name: str, *options: str) -> subprocess.Popen:
        if command == "launch":
            options = (*options, "--ami", DEBIAN.id)
        process = subprocess.Popen(
            [sys.executable, "-m", "contract.commands", f"pretended-{command}", cloud.url, name, *options],
            cwd=TESTS,
            env={**os.environ, "XDG_STATE_HOME": str(tmp_path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()
        process.stdout.close()


def ended(process: subprocess.Popen) -> tuple[int, str]:
    said, _ = process.communicate(timeout=PATIENCE)
    return process.returncode, said


def struck(cloud, rule: str) -> None:
    """Returns when a request has met the rule."""
    until(lambda: next(each for each in cloud.faults() if each["id"] == rule)["struck"])


def until(condition) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline


def test_of_ten_launches_of_one_name_one_wins_and_nine_touch_nothing(cloud, started):
    ends = [ended(process) for process in [started("launch", "dask") for _ in range(10)]]

    assert sorted(code for code, _ in ends) == [0, *9 * [1]], ends
    assert all("a cluster named dask already exists" in said for code, said in ends if code == 1)
    assert len(left(cloud)) == 3 + 2
    assert [len(cloud.asked(action)) for action in ("TerminateInstances", "DeleteSecurityGroup")] == [0, 0]


@pytest.mark.parametrize("shown", [(), ("--for-people",)], ids=["json", "for-people"])
@pytest.mark.parametrize("stdout", REDIRECTED)
def test_a_launch_whose_result_nobody_can_read_says_that_the_cluster_is_up(cloud, tmp_path, stdout, shown):
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "contract.commands", "pretended-launch", cloud.url, "dask", *shown]
    said = subprocess.run(
        ["sh", "-c", f'exec "$@" {REDIRECTED[stdout]}', "sh", *command, "--ami", DEBIAN.id],
        cwd=TESTS,
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path)},
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        timeout=PATIENCE,
    )
    os.close(writing)

    words = " ".join(said.stderr.split())
    assert said.returncode == 3, words
    assert "the cluster dask is up, and costs" in words
    assert "dask-bake down dask" in words
    assert "Traceback" not in words
    assert len(left(cloud)) == 3 + 2


def test_two_at_once_take_a_cluster_down(cloud, started):
    assert ended(started("launch", "dask"))[0] == 0

    ends = [ended(process) for process in (started("down", "dask"), started("down", "dask"))]

    # The second may have come when nothing was left to find.
    assert ends[0][0] == 0 or ends[1][0] == 0
    assert {code for code, _ in ends} <= {0, 2}, ends
    assert left(cloud) == []


def test_a_cluster_is_taken_down_while_it_is_launched(cloud, started):
    launch = started("launch", "dask", "--never-ready")
    until(lambda: len(cloud.asked("RunInstances")) == 2)

    down = ended(started("down", "dask"))

    assert down[0] == 0, down
    code, said = ended(launch)
    assert code == 1, said
    assert "ended while the cluster was launched" in " ".join(said.split())
    assert left(cloud) == []


@pytest.mark.parametrize(
    ("action", "skip", "number"),
    [
        ("CreateSecurityGroup", 0, signal.SIGINT),
        ("CreateSecurityGroup", 1, signal.SIGTERM),
        ("AuthorizeSecurityGroupIngress", 0, signal.SIGTERM),
        ("AuthorizeSecurityGroupIngress", 1, signal.SIGINT),
        ("RunInstances", 0, signal.SIGINT),
        ("RunInstances", 1, signal.SIGTERM),
        ("DescribeInstances", 0, signal.SIGINT),
    ],
)
def test_an_interrupted_launch_leaves_nothing_of_what_ec2_was_about_to_make(
    cloud, started, action, skip, number
):
    """The request is on its way when the signal comes, and is carried out afterwards."""
    rule = cloud.fault("delay", action, skip=skip, seconds=1)
    process = started("launch", "dask")
    struck(cloud, rule)
    process.send_signal(number)

    code, said = ended(process)

    assert (code, left(cloud)) == (130, []), said
    assert "Interrupted; nothing of this command is left." in said


def test_a_second_interrupt_says_what_is_left_and_down_removes_it(cloud, started):
    rule = cloud.fault("delay", "RunInstances", skip=1, seconds=1)
    slow = cloud.fault("delay", "TerminateInstances", seconds=2)
    process = started("launch", "dask")
    struck(cloud, rule)
    process.send_signal(signal.SIGINT)
    struck(cloud, slow)
    process.send_signal(signal.SIGINT)

    code, said = ended(process)

    assert code == 3, said
    assert "dask-bake down dask" in said
    assert ended(started("down", "dask"))[0] == 0
    assert left(cloud) == []


def test_what_a_killed_launch_left_is_found_by_down(cloud, started):
    rule = cloud.fault("delay", "RunInstances", skip=1, seconds=1)
    process = started("launch", "dask")
    struck(cloud, rule)
    process.kill()
    process.wait()
    assert left(cloud) != []

    assert ended(started("down", "dask"))[0] == 0
    assert left(cloud) == []
