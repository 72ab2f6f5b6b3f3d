"""Nodes lose processes and workers one after another, and results stay right."""

import json
import time

import pytest

from local_cluster import AS_USER, PYTHON, LocalCluster, started
from polling import until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def losing(cloud, image):
    """A head and four spot workers of two processes; lost workers are detected sooner than by default."""
    words = ("--count", "5", "--nprocs", "2", "--nthreads", "1", "--spot", "--max-lifetime", "0")
    words += ("--env", "DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP=12s")
    for cluster in started(cloud, image, "losing", *words):
        cluster.tune(0, pause=1)
        yield cluster


COMPUTING = """
import json, os, time
from distributed import Client, wait

def square(number):
    time.sleep(0.2)
    return number * number

client, sums, count = Client(timeout=30), [], 0
while not os.path.exists("/tmp/enough"):
    sums.append(client.submit(sum, client.map(square, range(count, count + 20))))
    count += 20
    wait(sums[:-3])
    open("/tmp/squared", "w").write(str(count))
print(json.dumps([count, client.submit(sum, sums).result()]))
"""
"""Compute sums of squares until stopped, keeping only the sums on the workers; then print the total."""


def begin(cluster: LocalCluster, unit: str, code: str) -> None:
    """Start code of a user on the head in the background; its output is in /tmp/UNIT."""
    words = (f"--unit={unit}", f"--property=StandardOutput=file:/tmp/{unit}")
    cluster.run(0, *AS_USER, *words, *PYTHON, code)


def answer(cluster: LocalCluster, unit: str, timeout: float):
    """Wait for its end and return its output as JSON."""
    script = f"until grep . /tmp/{unit}; do systemctl is-active --quiet {unit} || exit 1; sleep 0.1; done"
    return json.loads(cluster.run(0, "timeout", str(timeout), "sh", "-c", f"{script} 2>/dev/null"))


def test_results_are_right_when_workers_are_lost(cloud, losing, fault_row):
    """A process is killed, a node ends, EC2 reclaims one, one is unreachable for a while."""
    begin(losing, "squares", COMPUTING)
    losing.until("os.path.exists('/tmp/squared')", timeout=60)

    before = losing.processes(4)
    address, pid = next(iter(before.items()))
    here = f"addresses({losing.host(4)!r})"
    with fault_row(
        "On a node",
        "a worker process is killed",
        "its nanny starts another, and its tasks run again; the node's other processes continue",
        left="the other processes of the node",
    ):
        losing.run(4, "sudo", "kill", "-KILL", str(pid))
        losing.until(f"len({here}) == 2 and {address!r} not in {here}", timeout=60)
    assert set(before.values()) - set(losing.processes(4).values()) == {pid}

    with fault_row(
        "On a node",
        "EC2 reclaims a spot instance while it computes",
        "its workers transfer their data and leave; nothing restarts them",
        left="the other nodes, with all results",
    ):
        cloud.fault("spot-notice", "--instance", losing.ids[2], "--notice", "30")
        losing.until(f"not addresses({losing.host(2)!r})", timeout=60)

    cut = f"addresses({losing.host(3)!r})"
    with (
        fault_row(
            "On a node",
            "a worker node is terminated while it computes (Dask's `tcp` time-out 12 s)",
            "the scheduler removes its workers; other nodes compute its tasks and results again",
            left="the other nodes",
        ),
        fault_row(
            "On a node",
            "a worker node loses the network while it computes (Dask's `tcp` time-out 12 s)",
            "the scheduler removes its workers; other nodes compute its tasks and results again",
            left="the other nodes, and this one until it has not reached the head for 10 minutes",
        ),
    ):
        cloud.fault("terminated", "--instance", losing.ids[1])
        cloud.fault("cut", "--instance", losing.ids[3])
        losing.until(f"not {cut} and not addresses({losing.host(1)!r})", timeout=120)

    with fault_row(
        "On a node",
        "a worker node that lost the network gets it back",
        "its workers join again",
        left="everything",
    ):
        cloud.clear_faults()
        losing.until(f"len({cut}) == 2", timeout=60)

    losing.run(0, "touch", "/tmp/enough")
    count, total = answer(losing, "squares", timeout=60)
    assert count > 200
    assert total == sum(number * number for number in range(count))
    until(lambda: losing.ids[2] not in cloud.live_instances(), timeout=60)


LOST = """
import json, time
from distributed import Client
client = Client(timeout=30)
task = client.submit(time.sleep, 600)
while not any(client.processing().values()):
    time.sleep(0.05)
open("/tmp/waits", "w").close()
try:
    message = task.result()
except Exception as error:
    message = f"{type(error).__name__}: {error}"
print(json.dumps([message, client.submit(sum, range(100)).result()]))
"""


@pytest.mark.parametrize("signal", ["KILL", "STOP"])
def test_a_scheduler_that_dies_or_hangs_is_restarted_and_clients_get_an_error(losing, fault_row, signal):
    begin(losing, f"lost-{signal.lower()}", LOST)
    losing.until("os.path.exists('/tmp/waits')", timeout=60)
    before = losing.main_process(0, "dask-scheduler")
    fault = {"KILL": "the scheduler is killed", "STOP": "the scheduler hangs"}[signal]
    counted = "len(client.scheduler_info(n_workers=-1)['workers'])"
    workers = losing.compute(f"print({counted})")
    losing.tune(0, hung=3)  # for this alone: a scheduler that gets no CPU from ten workers is to live
    with fault_row(
        "On a node",
        fault,
        "systemd restarts it, and the workers reconnect; clients get an error and can submit new tasks",
        left="the nodes; all tasks and results are lost",
    ):
        losing.run(0, "sudo", "rm", "/tmp/waits")
        losing.run(0, "sudo", "kill", f"-{signal}", str(before))
        until(lambda: losing.main_process(0, "dask-scheduler") not in (0, before), timeout=60)
        losing.until(f"{counted} == {workers}", timeout=60)
    losing.tune(0, hung=30)
    message, total = answer(losing, f"lost-{signal.lower()}", timeout=60)

    assert "Cancelled" in message, message
    assert total == 4950


def test_a_killed_nanny_is_restarted_with_its_workers(losing, fault_row):
    before = set(losing.processes(4))
    here = f"addresses({losing.host(4)!r})"
    with fault_row(
        "On a node",
        "the nanny of all workers of a node is killed",
        "systemd restarts it, and it starts its workers",
        left="the other nodes",
    ):
        losing.run(4, "sudo", "kill", "-KILL", str(losing.main_process(4, "dask-worker")))
        losing.until(f"len({here}) == 2 and not {here} & {before}", timeout=60)


NOTEBOOK = '''
import asyncio, json, urllib.request, uuid
from tornado.websocket import websocket_connect

token = open("/var/lib/dask-jupyter/token").read()
kernels = "127.0.0.1:8888/api/kernels"
headers = {"Authorization": f"token {token}"}
request = urllib.request.Request(f"http://{kernels}", data=b"{}", headers=headers)
kernel = json.load(urllib.request.urlopen(request, timeout=60))["id"]

async def execute(code):
    channel = await websocket_connect(f"ws://{kernels}/{kernel}/channels?token={token}")
    header = {"msg_id": uuid.uuid4().hex, "session": uuid.uuid4().hex, "msg_type": "execute_request",
              "username": "", "version": "5.3"}
    message = {"header": header, "parent_header": {}, "metadata": {}, "channel": "shell", "buffers": [],
               "content": {"code": code, "silent": False, "user_expressions": {}, "allow_stdin": False}}
    await channel.write_message(json.dumps(message))
    while json.loads(await channel.read_message())["msg_type"] != "execute_input":
        pass

asyncio.run(execute("""
import os, time
while not os.path.exists("/tmp/watched"):
    time.sleep(0.1)
time.sleep(BUSY)
"""))
'''
BUSY, IDLE = 10, 5


def test_only_a_notebook_that_computes_keeps_an_idle_cluster(losing, fault_row):
    with fault_row(
        "On a node",
        "nobody is connected, but a notebook computes",
        "the idle time-out starts when the computation ends; then all nodes power off",
        left="the security groups",
    ):
        losing.run(0, *AS_USER, "--wait", *PYTHON, NOTEBOOK.replace("BUSY", str(BUSY)))
        for node in (3, 4):
            losing.tune(node, pause=1)
        losing.tune(0, pause=1, idle=IDLE)
        until(lambda: losing.switch("idle")["held"] == "a notebook is busy", timeout=60)
        losing.run(0, "touch", "/tmp/watched")
        began = time.monotonic()
        until(lambda: losing.live() == [], timeout=120)

    assert time.monotonic() - began > BUSY + IDLE - 1
    assert losing.console_lines(0)[-1] == f"DASK-BAKE-END idle: no client, task or session for {IDLE} s"
