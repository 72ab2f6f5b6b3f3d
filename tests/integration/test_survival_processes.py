"""A node of eight worker processes: one fails, and the others go on."""

import re
from contextlib import contextmanager
from pathlib import Path

import pytest

from dask_bake.local.machines.cgroups import group_paths
from local_cloud import NAME
from local_cluster import LocalCluster, started
from polling import until
from root import run_as_root

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def eight(cloud, image):
    """A head and a worker of eight processes; tasks may kill one, and hanging ones are replaced soon."""
    settings = ("ALLOWED_FAILURES=0", "WORKER_TTL=15s")
    words = [word for setting in settings for word in ("--env", f"DASK_DISTRIBUTED__SCHEDULER__{setting}")]
    words += ["--count", "2", "--nprocs", "8", "--nthreads", "1", "--memory-limit", "1GB"]
    yield from started(cloud, image, "eight", *words)


HOG = """
def hog(size):
    held = b"x" * size
    time.sleep(30)
    return len(held)
try:
    message = client.submit(hog, SIZE).result(timeout=60)
except Exception as error:
    message = f"{type(error).__name__}: {error}"
print(json.dumps([message, client.submit(sum, range(100)).result()]))
"""


def hogged(cluster: LocalCluster, megabytes: int) -> tuple[str, int]:
    """Return the result of a task that takes so much memory, and how many processes ended."""
    before = set(cluster.processes(1).values())
    unit = cluster.main_process(1, "dask-worker")
    message, total = cluster.compute(HOG.replace("SIZE", str(megabytes * 2**20)))
    cluster.until(f"len(addresses({cluster.host(1)!r})) == 8", timeout=60)

    assert total == 4950
    assert cluster.main_process(1, "dask-worker") == unit
    return str(message), len(before - set(cluster.processes(1).values()))


def test_a_process_beyond_its_memory_limit_ends_alone_and_its_task_fails_with_an_error(eight, fault_row):
    with fault_row(
        "On a node",
        "a task exceeds the memory limit of its worker process",
        "the nanny kills the process and starts another; after several attempts the task fails with"
        " KilledWorker",
        left="the other seven processes of the node",
    ):
        message, ended = hogged(eight, 1200)
    assert message.startswith("KilledWorker: Attempted to run task 'hog-")
    assert ended == 1


def test_a_process_killed_by_the_kernel_s_oom_killer_ends_alone(eight, fault_row):
    """Apart from those that the kernel also kills because memory is not freed at once."""
    with (
        memory_limit(eight.ids[1], 400) as killed,
        fault_row(
            "On a node",
            "a node's memory runs out",
            "the kernel kills the worker process that uses most, rarely a second one; their nannies start"
            " others",
            left="the other processes of the node",
        ),
    ):
        message, ended = hogged(eight, 600)
        assert 1 <= ended <= killed()
        assert ended < 8

    assert message.startswith("KilledWorker: Attempted to run task 'hog-")
    assert eight.run(1, "systemctl", "show", "--property=OOMPolicy", "--value", "dask-worker") == "continue\n"


@contextmanager
def memory_limit(instance: str, megabytes: int):
    """Limit the machine's memory to so much more than now, without swap; yield a count of OOM kills."""
    groups, version_1 = group_paths(f"{NAME}-{instance}"), Path("/sys/fs/cgroup/memory")
    if version_1.is_dir():
        lists = [path for group in groups for path in group.rglob("cgroup.procs")]
        found = {pid for path in lists for pid in path.read_text().split()}
        ours = version_1 / f"{NAME}-{instance}"
        enter = "for pid in {}; do echo $pid >{}/cgroup.procs || true; done"
        limit = f"mkdir -p {ours}; echo {megabytes}M >{ours}/memory.limit_in_bytes"
        begin = f"{limit}; {enter.format(' '.join(found), ours)}"
        end = f"{enter.format(f'$(cat {ours}/cgroup.procs)', version_1)}; rmdir {ours}"
        events = ours / "memory.oom_control"
    else:
        most = int((groups[0] / "memory.current").read_text()) + megabytes * 2**20
        begin = f"echo {most} >{groups[0]}/memory.max; echo 0 >{groups[0]}/memory.swap.max"
        end = f"echo max >{groups[0]}/memory.max"
        events = groups[0] / "memory.events"

    def killed() -> int:
        return int(re.search(r"^oom_kill (\d+)$", events.read_text(), re.MULTILINE)[1])

    run_as_root("sh", "-c", begin)
    earlier = killed()
    try:
        yield lambda: killed() - earlier
    finally:
        run_as_root("sh", "-c", end)


def test_a_process_that_hangs_is_replaced(eight, fault_row):
    before = eight.processes(1)
    address, pid = next(iter(before.items()))
    here = f"addresses({eight.host(1)!r})"
    with fault_row(
        "On a node",
        "a worker process hangs (`worker-ttl` 15 s)",
        "the other processes continue; the scheduler removes it, and its nanny replaces it",
        left="the other seven processes of the node",
    ):
        eight.run(1, "sudo", "kill", "-STOP", str(pid))
        others = [each for each in before if each != address]
        squares = f"sum(client.gather(client.map(lambda n: n * n, range(64), workers={others})))"
        assert eight.compute(f"print(json.dumps({squares}))") == sum(n * n for n in range(64))
        eight.until(f"len({here}) == 8 and {address!r} not in {here}", timeout=90)

    after = set(eight.processes(1).values())
    assert set(before.values()) - after == {pid}


def test_workers_whose_head_is_unreachable_end(cloud, eight, fault_row):
    eight.tune(1, pause=1, lost=3)
    with fault_row(
        "On a node",
        "the head loses the network (`DASK_BAKE_LOST` 3 s)",
        "the worker nodes power off; the head powers off after the idle time-out",
        left="the head",
    ):
        cloud.fault("cut", "--instance", eight.ids[0])
        until(lambda: eight.live() == eight.ids[:1], timeout=150)

    assert eight.console_lines(1)[-1] == "DASK-BAKE-END lost: no connection to the head for 3 s"
