"""A Dask Cluster of whole nodes, on a real scheduler and real workers of this process."""

import asyncio
import threading

import pytest
from distributed import Client
from distributed.core import Status

from dask_bake.client.managed import ManagedCluster, close_all
from dask_bake.errors import BakeError, QuotaError, UsageError
from dask_nodes import DaskNodes, FakeBackend
from polling import until

LIMIT = 30


@pytest.fixture
def nodes():
    there = DaskNodes()
    yield there
    there.close()


@pytest.fixture
def backend(nodes):
    return FakeBackend(nodes)


def test_with_a_cluster_and_clients_work_is_done_and_the_end_ends_the_cluster(backend):
    with ManagedCluster(backend, "one", quiet=True) as cluster, Client(cluster) as client:
        assert client.submit(sum, range(100)).result(timeout=LIMIT) == 4950
        with Client(cluster, set_as_default=False) as other:
            assert other.submit(sum, range(10)).result(timeout=LIMIT) == 45
            assert client.dashboard_link == other.dashboard_link == cluster.dashboard_link
        assert cluster.get_client() is client
        cluster.wait_for_workers(4, timeout=LIMIT)
        assert (len(cluster.plan), len(cluster.observed)) == (4, 4)
        assert "workers=4, threads=4, memory=4.00 GiB" in repr(cluster)
        assert client.run(lambda: 1).keys() == cluster.scheduler_info["workers"].keys()

    assert backend.calls == ["start", "end"]
    assert backend.connection.is_closed
    assert cluster.status == Status.closed
    assert cluster.close() is None


def test_a_cluster_that_is_to_stay_is_not_ended(backend):
    with ManagedCluster(backend, "one", shutdown_on_close=False, quiet=True):
        pass
    assert backend.calls == ["start"]


def test_it_is_used_in_an_event_loop(backend):
    async def use():
        async with ManagedCluster(backend, "one", asynchronous=True, quiet=True) as cluster:
            async with (
                Client(cluster, asynchronous=True) as client,
                Client(cluster, asynchronous=True, set_as_default=False) as other,
            ):
                assert await client.submit(sum, range(100)) == 4950
                assert await other.submit(sum, range(10)) == 45
            await cluster.scale(6)
            assert len(backend.nodes.hosts) == 3
            logs = await cluster.get_logs()
            assert {"Cluster", "Scheduler"} < logs.keys()
        return cluster

    assert asyncio.run(use()).status == Status.closed
    assert backend.calls == ["start", "scale 4", "end"]


def test_the_html_has_the_dashboard_s_link_that_works(backend):
    with ManagedCluster(backend, "one", quiet=True) as cluster:
        cluster.scheduler_info["services"] = {"dashboard": 8787}
        page = cluster._repr_html_()
    assert page.count('href="http://127.0.0.1:1/status?token=t"') == 2
    assert "127.0.0.1:8787" not in page
    assert "ManagedCluster" in page


def test_scaling_is_in_whole_nodes_and_by_cores_and_memory(backend):
    with ManagedCluster(backend, "one", quiet=True) as cluster:
        for arguments, wanted in (
            ({"n": 5}, 6),
            ({"n": 1}, 2),
            ({"cores": 7}, 8),
            ({"memory": "2 GiB"}, 2),
            ({"n": 2, "cores": 3, "memory": "5.5 GiB"}, 6),
        ):
            cluster.scale(**arguments)
            cluster.wait_for_workers(wanted, timeout=LIMIT)
            until(lambda n=wanted: len(cluster.observed) == n == len(cluster.plan), timeout=LIMIT)
    assert backend.calls == ["start", "scale 4", "scale 2", "scale 5", "scale 2", "scale 4", "end"]


@pytest.mark.parametrize("n", [0, -1])
def test_a_cluster_has_at_least_one_worker_node(backend, n):
    with ManagedCluster(backend, "one", quiet=True) as cluster:
        with pytest.raises(
            UsageError, match=rf"scale\({n}\) asks for none\nHint: scale\(2\) is one worker node"
        ):
            cluster.scale(n)
        with pytest.raises(UsageError, match=r"maximum=1 is less than the 2 worker processes of one node"):
            cluster.adapt(minimum=0, maximum=1)


def test_a_closed_cluster_says_so(backend):
    with ManagedCluster(backend, "one", quiet=True) as cluster:
        pass
    with pytest.raises(UsageError, match="the cluster one is closed"):
        cluster.scale(4)


def test_what_scaling_refuses_is_told_and_raised_by_who_waits(backend, capsys):
    backend.refusals = [QuotaError("the quota is 8 vCPUs", hint="ask for more")]
    with ManagedCluster(backend, "one") as cluster:
        cluster.scale(6)
        with pytest.raises(QuotaError, match=r"^the quota is 8 vCPUs\nHint: ask for more$"):
            cluster.wait_for_workers(6, timeout=LIMIT)
        assert (len(cluster.plan), len(backend.nodes.hosts)) == (4, 2)
        with pytest.raises(QuotaError):
            cluster.wait_for_workers(5, timeout=LIMIT)
        cluster.wait_for_workers(4, timeout=LIMIT)
        assert cluster.get_logs(scheduler=False, workers=False)["Cluster"] == (
            "the quota is 8 vCPUs\nHint: ask for more"
        )
        cluster.scale(6)
        cluster.wait_for_workers(6, timeout=LIMIT)
    assert capsys.readouterr().out == "the quota is 8 vCPUs\nHint: ask for more\n"


def test_a_later_number_replaces_an_earlier_one(backend):
    with ManagedCluster(backend, "one", quiet=True) as cluster:
        backend.holds = threading.Event()
        cluster.scale(20)
        until(lambda: "scale 11" in backend.calls, timeout=LIMIT)
        cluster.scale(6)
        until(lambda: "scale 4" in backend.calls, timeout=LIMIT)
        backend.holds.set()
        cluster.wait_for_workers(6, timeout=LIMIT)
    assert backend.calls == ["start", "scale 11", "undone", "scale 4", "end"]
    assert max(backend.nodes.sizes) == 3


def test_closing_interrupts_scaling_before_the_cluster_ends(backend):
    with ManagedCluster(backend, "one", quiet=True) as cluster:
        backend.holds = threading.Event()
        cluster.scale(20)
        until(lambda: "scale 11" in backend.calls, timeout=LIMIT)
    assert backend.calls == ["start", "scale 11", "undone", "end"]


def test_a_failure_to_start_is_raised_with_its_hint_and_nothing_is_left(nodes):
    backend = FakeBackend(nodes, failure=BakeError("no image", hint="dask-bake bake"))
    with pytest.raises(BakeError, match=r"^no image\nHint: dask-bake bake$") as raised:
        ManagedCluster(backend, "one")
    assert raised.value.__cause__ is None
    assert backend.calls == ["start"]

    async def start():
        await ManagedCluster(backend, "one", asynchronous=True)

    with pytest.raises(BakeError, match=r"^no image\nHint: dask-bake bake$"):
        asyncio.run(start())


def test_a_task_that_is_cancelled_while_it_starts_undoes_the_launch(nodes):
    backend = FakeBackend(nodes, holds=threading.Event())

    async def start():
        starting = asyncio.ensure_future(ManagedCluster(backend, "one", asynchronous=True)._started())
        while "start" not in backend.calls:
            await asyncio.sleep(0.01)
        starting.cancel()
        await asyncio.wait([starting])
        return starting.cancelled()

    assert asyncio.run(start())
    assert backend.calls == ["start", "undone"]


def test_a_scheduler_that_cannot_be_reached_ends_what_was_launched(backend):
    start = backend.start

    def unreachable(interrupt):
        connection = start(interrupt)
        connection.address = "unknown://x"
        return connection

    backend.start = unreachable
    with pytest.raises(ValueError, match="unknown"):
        ManagedCluster(backend, "one", quiet=True)
    assert backend.calls == ["start", "end"]
    assert backend.connection.is_closed


def test_a_cluster_that_nobody_has_closed_ends_with_the_interpreter(backend, nodes):
    staying = FakeBackend(nodes)
    with (
        ManagedCluster(backend, "one", quiet=True),
        ManagedCluster(staying, "two", shutdown_on_close=False, quiet=True),
    ):
        close_all()
        assert (backend.calls, staying.calls) == (["start", "end"], ["start"])


def test_the_workers_are_followed_again_after_the_connection_broke(backend):
    with ManagedCluster(backend, "one", quiet=True) as cluster:
        for comm in list(cluster.scheduler_comm.comms):
            cluster.loop.add_callback(comm.abort)
        cluster.scale(6)
        until(lambda: len(cluster.observed) == 6, timeout=LIMIT)


def test_two_objects_of_one_cluster_both_see_its_workers(backend):
    """With Dask's own subscription the later one would blind the other."""
    with ManagedCluster(backend, "one", quiet=True) as cluster:
        found = FakeBackend(backend.nodes)
        with ManagedCluster(found, "one", shutdown_on_close=False, quiet=True) as other:
            cluster.scale(6)
            until(lambda: len(cluster.observed) == len(other.observed) == 6, timeout=LIMIT)
