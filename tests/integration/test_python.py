"""Distributed's own style of use on a launched cluster, by clients on this machine."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from base_release import BASE, PYTHON
from polling import until

pytestmark = pytest.mark.skipif(
    BASE.python_minor != PYTHON, reason="client and cluster need the same Python minor version"
)

LIMIT = 180
"""Seconds for a program; each takes a few."""
BEGIN = """
import asyncio, os, sys, time
from distributed import Client, Queue, get_worker, performance_report, wait
from dask_bake import BakeCluster, connect
"""
EXAMPLE = Path(__file__).parents[2] / "examples" / "from_ec2cluster.py"


@pytest.fixture
def run(cloud, cluster, tmp_path):
    """Run a program on this machine whose warnings are errors, and return what it prints."""

    def run_program(code):
        done = subprocess.run(
            [sys.executable, "-W", "error::UserWarning", "-c", BEGIN + code],
            cwd=tmp_path,
            env=cloud.environment,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "Mismatched versions" not in done.stderr
        return done.stdout.split()

    return run_program


def test_several_clients_share_data_and_each_its_own_end(run):
    """By name, by a cluster that exists, and from another client's result."""
    code = """
with connect("shared") as one, connect("shared", set_as_default=False) as two:
    future = one.submit(sum, range(100), pure=False)
    one.publish_dataset(total=future)
    print(two.get_dataset("total").result())
    one.unpublish_dataset("total")
    with BakeCluster.from_name("shared", quiet=True) as there, Client(there, set_as_default=False) as three:
        print(three.submit(sum, range(10)).result())
    print(one.submit(sum, range(100)).result())
"""
    assert run(code) == ["4950", "45", "4950"]


def test_workers_restart_and_get_functions_and_files(run, tmp_path):
    """``run``, ``upload_file`` and ``restart``, after which all worker processes are others."""
    (tmp_path / "mine.py").write_text("def answer():\n    return 42\n")
    code = """
def answer():
    import mine
    return mine.answer()

with connect("shared") as client:
    client.wait_for_workers(4, timeout=60)
    client.upload_file("mine.py")
    print(client.submit(answer, pure=False).result())
    before = client.run(os.getpid)
    print(len(before))
    client.restart(timeout=120)
    client.wait_for_workers(4, timeout=120)
    after = client.run(os.getpid)
    print(len(after), set(before.items()) & set(after.items()) or "none")
"""
    assert run(code) == ["42", "4", "4", "none"]


def test_actors_queues_versions_and_a_performance_report(run, tmp_path):
    code = """
import warnings

class Counter:
    n = 0

    def add(self):
        self.n += 1
        return self.n

def put(number):
    Queue("numbers").put(number)

with connect("shared") as client:
    with performance_report(filename="report.html"):
        counter = client.submit(Counter, actor=True).result()
        print([counter.add().result() for _ in range(3)][-1])
        queue = Queue("numbers")
        wait(client.map(put, range(5), pure=False))
        print(sum(queue.get(timeout=30) for _ in range(5)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        versions = client.get_versions(check=True)
    mine, theirs = (versions[each]["packages"]["distributed"] for each in ("client", "scheduler"))
    print(len(versions["workers"]), mine == theirs)
"""
    assert run(code) == ["3", "10", "4", "True"]
    assert "Dask Performance Report" in (tmp_path / "report.html").read_text()


def test_a_result_of_500_mb_comes_through_the_tunnel(run):
    code = """
with connect("shared") as client:
    begin = time.monotonic()
    result = client.submit(lambda: b"x" * 500_000_000, pure=False).result()
    print(len(result), result.count(b"x"))
    print(f"{time.monotonic() - begin:.1f} s", file=sys.stderr)
"""
    assert run(code) == ["500000000", "500000000"]


def test_event_loops_enter_and_await(run):
    code = """
async def use():
    async with connect("shared", asynchronous=True, timeout="60s", set_as_default=False) as client:
        print(await client.submit(sum, range(100)))
    client = await connect("shared", asynchronous=True, timeout=60)
    try:
        print(await client.submit(sum, range(10)))
        print(Client.current(allow_global=True) is client)
    finally:
        await client.close()
    async with BakeCluster.from_name("shared", asynchronous=True, quiet=True) as cluster:
        async with Client(cluster, asynchronous=True) as client:
            print(await client.submit(sum, range(20)))

asyncio.run(use())
"""
    assert run(code) == ["4950", "45", "True", "190"]


def test_a_client_goes_on_after_its_tunnel_broke(cloud, cluster, tmp_path):
    """ssh is killed: it is started again, and Dask's client reconnects by itself."""
    code = """
with connect("shared") as client:
    print(client.submit(sum, range(100)).result(), flush=True)
    input()
    deadline = time.monotonic() + 90
    while True:
        try:
            print(client.submit(sum, range(20), pure=False).result(timeout=30), flush=True)
            break
        except Exception as error:
            print(type(error).__name__, error, file=sys.stderr)
            assert time.monotonic() < deadline
            time.sleep(0.5)
"""
    with subprocess.Popen(
        [sys.executable, "-c", BEGIN + code],
        env=cloud.environment,
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "4950\n"
        (tunnel,) = children(process.pid)
        os.kill(tunnel, signal.SIGKILL)
        until(lambda: tunnel not in children(process.pid), timeout=30)
        output, errors = process.communicate("\n", timeout=LIMIT)
    assert (process.returncode, output) == (0, "190\n"), errors
    assert "Traceback" not in errors


def children(process):
    """Return the ssh processes that it has started and that have not ended."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(status[1]) == process and status[0] != "Z" and "ssh" in (folder / "comm").read_text():
                found.append(int(folder.name))
        except OSError:  # it has ended
            continue
    return found


def test_a_cluster_s_process_that_is_killed_leaves_nothing_after_the_idle_time_out(cloud, image, tmp_path):
    """``kill -9`` of Python, as of a notebook's kernel: the head ends the cluster."""
    code = f"""
cluster = BakeCluster("killed", ami={image!r}, count=2, nprocs=1, idle_timeout="60s", quiet=True)
client = Client(cluster)
print(client.submit(sum, range(100)).result(), flush=True)
input()
"""
    with subprocess.Popen(
        [sys.executable, "-c", BEGIN + code],
        env=cloud.environment,
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "4950\n"
        shown = cloud.json("status", "killed")
        process.kill()
    ids = {node["id"] for node in shown["nodes"]}
    until(lambda: not ids & set(cloud.live_instances()), timeout=180)
    cloud.run("down", "killed")
    assert "killed" not in " ".join(cloud.groups())


def test_ec2cluster_s_example_runs_with_another_class_name(cloud, image, tmp_path):
    """It scales, computes and leaves nothing."""
    before = set(cloud.live_instances())
    done = subprocess.run(
        [sys.executable, str(EXAMPLE)],
        env={**cloud.environment, "DASK_BAKE__AMI": image},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=2 * LIMIT,
        check=False,
    )
    assert (done.returncode, re.findall(r".+", done.stdout)) == (0, ["4,000,000 by 3 workers"]), done.stderr
    assert set(cloud.live_instances()) <= before
