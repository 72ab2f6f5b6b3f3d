"""The goal of the project: nine nodes, eight processes on each, sixty-four workers; then nothing."""

import pytest


@pytest.fixture(scope="module")
def mission(cloud, image):
    """`dask-bake launch --count 9 --nprocs 8`, as JSON."""
    yield cloud.json("launch", "--count", "9", "--nprocs", "8", "--name", "mission", timeout=330)
    if cloud.live_instances():
        cloud.run("down", "mission")


def test_sixty_four_workers_register(mission):
    """With two RunInstances calls for any number of nodes."""
    assert (mission["workers"], len(mission["nodes"])) == (64, 9)
    assert mission["calls"].count("RunInstances") == 2


def test_the_client_on_the_head_shows_64_processes(cloud, mission):
    """As in `ipython`, then `c = Client()`."""
    output = cloud.on_head("from distributed import Client; print(Client())", name="mission")
    assert "processes=64 threads=64" in output


def test_all_worker_processes_compute(cloud, mission):
    """Every worker process runs tasks, and the sum is right."""
    code = """
from distributed import Client, get_worker
client = Client()
def square(x):
    return x * x, get_worker().address
results = client.gather(client.map(square, range(640), workers=None))
everywhere = client.run(lambda: 1)
print(sum(value for value, _ in results), len(everywhere))
"""
    assert cloud.on_head(code, name="mission").split() == [str(sum(x * x for x in range(640))), "64"]


def test_down_removes_everything(cloud, mission):
    """Instances, security group and the keys on this machine; a second `down` finds nothing."""
    output = cloud.run("down", "mission")
    again = cloud.attempt("down", "mission")

    assert "9 nodes" in output
    assert (cloud.live_instances(), cloud.groups(), cloud.secrets()) == ([], [], [])
    assert again.returncode == 0
    assert "no cluster named mission" in again.stderr
