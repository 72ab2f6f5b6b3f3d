"""The Python API on a node: only what an image has of dask-bake, in a process of its own."""

import subprocess
import sys
from pathlib import Path

import pytest
from distributed import LocalCluster

from dask_bake.bake.recipe import CLIENT_FOLDER, client_files

PACKAGE = Path(__file__).parents[3] / "launcher" / "dask_bake"
PREPARE = """
import dask, sys
from pathlib import Path
import dask_bake
assert dask_bake.__file__.startswith({folder!r}), dask_bake.__file__
from dask_bake.client import node
node.NODE_FILE = node.LIMITS_FILE = Path({limits!r})
dask.config.set({{"scheduler-address": {address!r}}})
def refused(call):
    try:
        call()
    except Exception as error:
        print(type(error).__name__, str(error).split(", and ")[0].splitlines()[0], "Hint: " in str(error))
"""


@pytest.fixture(scope="module")
def address():
    with LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, protocol="tcp://", dashboard_address=":0"
    ) as cluster:
        yield cluster.scheduler_address


@pytest.fixture
def on_node(tmp_path, address):
    """Return what code prints on a node of the cluster ``mine``."""
    for name, content in client_files(PACKAGE).items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    limits = tmp_path / "limits.env"
    limits.write_text("DASK_BAKE_ROLE=head\nDASK_BAKE_CLUSTER=mine\n")
    folder = str((tmp_path / CLIENT_FOLDER).parent)

    def run(code: str, address: str = address) -> list[str]:
        prepared = f"import sys; sys.path.insert(0, {folder!r})" + PREPARE.format(
            folder=folder, limits=str(limits), address=address
        )
        done = subprocess.run(
            [sys.executable, "-IWignore", "-c", prepared + code], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    return run


def test_the_code_of_a_laptop_runs_there(on_node):
    """``connect()`` with the cluster's name or without, and a ``BakeCluster`` with options."""
    printed = on_node("""
from dask_bake import BakeCluster, connect
from dask_bake.api import connect as former
from distributed import Client
for client in (connect(), connect("mine", region="us-east-1", timeout="10s"), former("mine")):
    with client:
        print(client.submit(sum, range(100)).result())
with BakeCluster(count=3, nprocs=2, type="m6i.large") as cluster, Client(cluster) as client:
    print(client.submit(sum, range(100)).result(), cluster.name, len(cluster.observed))
    print(cluster.dashboard_link, type(cluster).__name__ in cluster._repr_html_())
print(BakeCluster.from_name("mine").name)
""")
    assert printed == [*3 * ["4950"], "4950 mine 1", "http://127.0.0.1:8787/status True", "mine"]


def test_it_is_used_in_an_event_loop_there_too(on_node):
    printed = on_node("""
import asyncio
from dask_bake import BakeCluster, connect
from distributed import Client
async def use():
    async with connect("mine", asynchronous=True) as client:
        print(await client.submit(sum, range(100)))
    async with BakeCluster(asynchronous=True) as cluster, Client(cluster, asynchronous=True) as client:
        print(await client.submit(sum, range(100)))
asyncio.run(use())
""")
    assert printed == ["4950", "4950"]


def test_what_a_node_cannot_do_is_one_sentence_with_a_hint(on_node):
    printed = on_node("""
from dask_bake import BakeCluster, connect, down, launch
refused(lambda: connect("other"))
refused(lambda: BakeCluster("other"))
refused(lambda: launch(count=3))
refused(lambda: down("mine"))
cluster = BakeCluster()
refused(lambda: cluster.scale(3))
refused(lambda: cluster.adapt(minimum=1, maximum=3))
cluster.close()
""")
    assert printed == [
        *2 * ["UsageError this node is one of cluster mine True"],
        "UsageError launching a cluster needs AWS credentials True",
        "UsageError ending a cluster needs AWS credentials True",
        *2 * ["UsageError changing the size of a cluster needs AWS credentials True"],
    ]


def test_a_node_without_dask_says_so(on_node):
    assert on_node("from dask_bake import connect\nrefused(connect)", address="") == [
        "UsageError this node's cluster runs no Dask: Dask's configuration has no scheduler-address True"
    ]
