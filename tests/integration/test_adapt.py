"""``BakeCluster.adapt`` on machines: within its bounds at every look, and no busy worker is ended."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from contextlib import contextmanager

import pytest

from base_release import BASE, PYTHON

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        BASE.python_minor != PYTHON, reason="client and cluster need the same Python minor version"
    ),
]

ROUNDS = int(os.environ.get("ADAPT_ROUNDS", "1"))
LIMIT = 400
"""Seconds for one round: three nodes boot, compute and end."""
TASKS = 60
CODE = """
import json, sys, time
from distributed import Client, get_worker
from dask_bake import BakeCluster

image, rounds, tasks = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])

def work(number):
    get_worker().log_event("began", number)
    time.sleep(2)
    return number

def workers():
    return len(cluster.scheduler_info["workers"])

figures = []
with (
    BakeCluster("adapting", ami=image, count=2, nprocs=1, nthreads=1, quiet=True) as cluster,
    Client(cluster) as client,
):
    cluster.adapt(
        minimum=1, maximum=4, interval="1s", wait_count=5, cool_down=5, target_duration="10s"
    )
    print("begin", flush=True)
    for turn in range(rounds):
        begin, most = time.monotonic(), workers()
        futures = client.map(work, range(turn * tasks, (turn + 1) * tasks), pure=False)
        while not all(each.done() for each in futures):
            most = max(most, workers())
            time.sleep(0.2)
        total, up = sum(client.gather(futures)), time.monotonic() - begin
        del futures
        while workers() > 1:
            time.sleep(0.2)
        figures.append({"most": most, "total": total, "up": up, "all": time.monotonic() - begin})
    began = [number for _, number in client.get_events("began")]
    print(json.dumps({"began": began, "rounds": figures}), flush=True)
"""


@pytest.fixture
def program(cloud, image, tmp_path):
    """The program, which prints a line when it begins and its figures when it has shrunk to one node."""
    command = [sys.executable, "-c", CODE, image, str(ROUNDS), str(TASKS)]
    with (
        (tmp_path / "errors").open("w") as errors,
        subprocess.Popen(
            command, env=cloud.environment, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process,
    ):
        late = threading.Timer(LIMIT * ROUNDS, process.send_signal, [signal.SIGINT])
        late.start()
        yield process
        late.cancel()
        if process.poll() is None:  # the test has failed
            process.send_signal(signal.SIGINT)


def test_adapt_keeps_its_bounds_and_ends_no_busy_worker(cloud, program, tmp_path):
    """A task of a worker that was ended would have begun again on another one."""
    errors = tmp_path / "errors"
    assert program.stdout.readline() == "begin\n", errors.read_text()
    with counted(cloud) as counts:
        line = program.stdout.readline()
    program.communicate(timeout=LIMIT)
    assert program.returncode == 0, errors.read_text()
    figures = json.loads(line)
    (tmp_path / "figures.json").write_text(json.dumps({"counts": counts, "rounds": figures["rounds"]}))

    assert (min(counts), max(counts)) == (2, 5), counts  # with the head
    assert [each["most"] for each in figures["rounds"]] == [4] * ROUNDS
    assert sorted(figures["began"]) == list(range(TASKS * ROUNDS))
    assert [each["total"] for each in figures["rounds"]] == [
        sum(range(turn * TASKS, (turn + 1) * TASKS)) for turn in range(ROUNDS)
    ]


@contextmanager
def counted(cloud):
    """Count twice a second how many of the cluster's nodes are starting or running."""
    counts, over = Counter(), threading.Event()

    def count():
        while not over.wait(0.5):
            counts[up(cloud)] += 1

    thread = threading.Thread(target=count)
    thread.start()
    try:
        yield counts
    finally:
        over.set()
        thread.join()


def up(cloud):
    """Return how many of the cluster's nodes are starting or running."""
    found = cloud.ec2().describe_instances(
        Filters=[
            {"Name": "tag:dask-bake:cluster", "Values": ["adapting"]},
            {"Name": "instance-state-name", "Values": ["pending", "running"]},
        ]
    )
    return sum(len(each["Instances"]) for each in found["Reservations"])
