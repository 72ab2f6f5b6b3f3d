"""A real scheduler and real workers in this process, as the nodes of a cluster on a fake backend."""

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from distributed import Scheduler, Worker
from distributed.security import Security

from dask_bake.client.interrupt import Interrupt
from dask_bake.errors import BakeError
from dask_bake.models.cluster import Cluster
from dask_bake.models.tags import Tag
from fakes import a_cluster

POLL = 0.01


class DaskNodes:
    """A scheduler in a thread of its own; each worker node is a loopback address with its workers."""

    def __init__(self, nprocs: int = 2) -> None:
        self.nprocs = nprocs
        self.hosts: dict[str, list[Worker]] = {}
        self.sizes: list[int] = []
        self.busy_ended = 0
        self._next = 2
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="nodes")
        self._thread.start()
        self.scheduler: Scheduler = self.run(self._begin())

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Return the coroutine's result; it runs beside the scheduler."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(60)

    @property
    def address(self) -> str:
        """The scheduler's address."""
        return str(self.scheduler.address)

    def resize(self, nodes: int, first: Sequence[str] = ()) -> None:
        """Start nodes, or end those with the least to do once they have nothing to do."""
        self.run(self._resize(nodes, first))

    def lose(self, host: str) -> None:
        """End a node as EC2 does."""
        self.run(self._end(host))

    def close(self) -> None:
        """End everything."""
        self.run(self._finish())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _begin(self) -> Scheduler:
        return await Scheduler(host="127.0.0.1", port=0, dashboard=False, dashboard_address=":0")

    async def _resize(self, nodes: int, first: Sequence[str] = ()) -> None:
        while len(self.hosts) < nodes:
            host, self._next = f"127.0.0.{self._next}", self._next + 1
            processes = [
                Worker(
                    self.address,
                    host=host,
                    nthreads=1,
                    memory_limit="1 GiB",
                    dashboard=False,
                    dashboard_address=":0",
                )
                for _ in range(self.nprocs)
            ]
            self.hosts[host] = list(await asyncio.gather(*processes))
            self.sizes.append(len(self.hosts))
        while len(self.hosts) > nodes:
            host = min(self.hosts, key=lambda each: (each not in first, self._tasks(each), each))
            while self._tasks(host):
                await asyncio.sleep(POLL)
            await self.scheduler.retire_workers(workers=[each.address for each in self.hosts[host]])
            self.busy_ended += bool(self._tasks(host))
            await self._end(host)

    async def _end(self, host: str) -> None:
        await asyncio.gather(*(worker.close() for worker in self.hosts.pop(host)))
        self.sizes.append(len(self.hosts))

    async def _finish(self) -> None:
        await self._resize(0)
        await self.scheduler.close()

    def _tasks(self, host: str) -> int:
        return sum(len(each.processing) for each in self.scheduler.workers.values() if each.host == host)


@dataclass
class FakeConnection:
    """The connection to the scheduler, without SSH."""

    cluster: Cluster
    address: str
    security: Security = field(default_factory=Security)
    dashboard_link: str = "http://127.0.0.1:1/status?token=t"
    is_closed: bool = False

    def close(self) -> None:
        self.is_closed = True


@dataclass
class FakeBackend:
    """The cloud of a ``ManagedCluster``: its nodes are those, and it records what is asked of it.

    Args:
        refusals: errors that scaling up raises, one after the other.
        holds: an event that scaling waits for; it can be interrupted there.
    """

    nodes: DaskNodes
    size: int = 2
    failure: BakeError | None = None
    refusals: list[BakeError] = field(default_factory=list)
    holds: threading.Event | None = None
    calls: list[str] = field(default_factory=list)
    connection: FakeConnection | None = None

    def start(self, interrupt: Interrupt) -> FakeConnection:
        self.calls.append("start")
        try:
            self._wait(interrupt)
        except KeyboardInterrupt:
            self.calls.append("undone")
            raise
        if self.failure is not None:
            raise self.failure
        self.nodes.resize(self.size)
        self.connection = FakeConnection(cluster_of(self.size, self.nodes.nprocs), self.nodes.address)
        return self.connection

    def scale(self, count: int, interrupt: Interrupt, *, first: Sequence[str] = ()) -> int:
        self.calls.append(f"scale {count}")
        try:
            self._wait(interrupt)
        except KeyboardInterrupt:
            self.calls.append("undone")
            raise
        if self.refusals and count - 1 > len(self.nodes.hosts):
            raise self.refusals.pop(0)
        self.nodes.resize(count - 1, first)
        return count

    def end(self, interrupt: Interrupt) -> None:
        self.calls.append("end")

    def _wait(self, interrupt: Interrupt) -> None:
        while self.holds is not None and not self.holds.is_set():
            interrupt.sleep(POLL)


def cluster_of(worker_nodes: int, nprocs: int) -> Cluster:
    """Return EC2's description of a cluster of that size."""
    there = a_cluster()
    head, worker = there.nodes[0], there.nodes[1]
    sizes = {Tag.NPROCS: str(nprocs), Tag.NTHREADS: "1", Tag.COUNT: str(worker_nodes + 1)}
    tags = tuple({**dict(head.tags), **sizes}.items())
    workers = (replace(worker, index=number, tags=tags) for number in range(1, worker_nodes + 1))
    return replace(there, nodes=(replace(head, tags=tags), *workers))
