"""A ``distributed.deploy.Cluster`` of whole nodes; a backend starts, scales and ends them in threads."""

import asyncio
import atexit
import math
import sys
import weakref
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Protocol, TypeVar

from dask.utils import parse_bytes
from distributed.core import Status
from distributed.security import Security

from dask_bake.client.adaptive import NodeAdaptive
from dask_bake.client.attached import AttachedCluster
from dask_bake.client.explain import ready
from dask_bake.client.interrupt import Interrupt, in_thread
from dask_bake.errors import BakeError, UsageError
from dask_bake.models.cluster import Cluster as BakedCluster

T = TypeVar("T")


class Connection(Protocol):
    """A connection to the cluster's scheduler, as ``Link`` is one."""

    cluster: BakedCluster
    address: str
    security: Security

    @property
    def dashboard_link(self) -> str:
        """The dashboard's address on this machine."""
        ...

    def close(self) -> None:
        """End the connection."""
        ...


class Backend(Protocol):
    """Operations that start, scale and end the cluster; each call blocks, and can be interrupted."""

    def start(self, interrupt: Interrupt) -> Connection:
        """Start or find the cluster, and connect to it; on failure nothing is left that it has made."""
        ...

    def scale(self, count: int, interrupt: Interrupt, *, first: Sequence[str] = ()) -> int:
        """Bring the cluster to a number of nodes, the head included; return how many it has then.

        Args:
            first: private addresses of worker nodes to end before others.
        """
        ...

    def end(self, interrupt: Interrupt) -> None:
        """End the cluster."""
        ...


class ManagedCluster(AttachedCluster):
    """Dask's Cluster on a backend.

    Numbers are of worker processes, as everywhere in Dask, and rounded up to whole nodes.

    Args:
        flags: by which the caller chose the cloud, for hints.
        shutdown_on_close: whether closing it ends the cluster.
    """

    def __init__(
        self,
        backend: Backend,
        name: str,
        *,
        flags: tuple[str, ...] = (),
        shutdown_on_close: bool = True,
        asynchronous: bool = False,
        loop: Any = None,
        quiet: bool = False,
    ) -> None:
        self._backend = backend
        self._flags = flags
        self._connection: Connection | None = None
        self._nodes = 0
        self._scaling: asyncio.Task[None] | None = None
        self._operation: asyncio.Task[int] | None = None
        self._one_at_a_time = asyncio.Lock()
        self._scale_error: BakeError | None = None
        self.shutdown_on_close = shutdown_on_close
        if not asynchronous:
            # On the caller's own thread, which Ctrl-C reaches: then nothing is left.
            self._connection = self._shown(backend.start)
        super().__init__(name, asynchronous=asynchronous, loop=loop, quiet=quiet)
        _INSTANCES.add(self)
        _close_all_at_exit()
        if asynchronous:
            return
        try:
            self._loop_runner.start()  # type: ignore[no-untyped-call]
            self.sync(self._started)  # type: ignore[no-untyped-call]
        except BaseException:
            self.close()
            raise

    @property
    def nprocs(self) -> int:
        """The number of worker processes on each worker node."""
        return max(1, self._connection.cluster.nprocs) if self._connection else 1

    @property
    def worker_nodes(self) -> int:
        """The number of worker nodes that the cluster is to have."""
        return self._nodes

    @property
    def dashboard_link(self) -> str:
        """The dashboard's address on this machine, with the token that opens it."""
        return self._connection.dashboard_link if self._connection else ""

    @property
    def workers(self) -> dict[str, None]:
        """The worker processes that the cluster is to have: names, and numbers for those not there yet."""
        names = [str(name) for name in sorted(map(str, self.observed))]
        wanted = self._nodes * self.nprocs
        missing = (f"starting-{number}" for number in range(len(names), wanted))
        return dict.fromkeys((*names, *missing))

    def scale(self, n: int = 0, *, cores: float | None = None, memory: str | float | None = None) -> Any:
        """Bring the cluster to at least so many worker processes, cores and bytes of memory, in whole nodes.

        It begins at once and ends in the background; ``wait_for_workers`` waits, and raises what went wrong.
        In an event loop, awaiting the result does the same. Nodes that are ended are drained first.
        """
        adaptive = self._adaptive
        if adaptive is not None:
            adaptive.stop()
        count = self._nodes_for(self._processes(n, cores=cores, memory=memory)) + 1
        self._check_open()
        if self.asynchronous:
            return asyncio.shield(self._begin_scaling(count))
        assert self.loop is not None  # noqa: S101 - it runs
        self.loop.add_callback(self._begin_scaling, count)
        return None

    def adapt(self, Adaptive: Any = NodeAdaptive, **keywords: Any) -> Any:  # noqa: N803 - Dask's name
        """Scale with the work, between ``minimum`` and ``maximum`` worker processes, by Dask's Adaptive.

        A busy worker is never ended; a node goes when all its workers have been idle for ``interval`` times
        ``wait_count``. There is always one worker node.
        """
        if not issubclass(Adaptive, NodeAdaptive):
            raise self._ready(
                UsageError(
                    f"{Adaptive.__name__} decides on single workers, and here whole nodes come and go",
                    hint="derive it from dask_bake.client.adaptive.NodeAdaptive",
                )
            )
        maximum = keywords.get("maximum")
        if maximum is not None and maximum < self.nprocs:
            raise self._ready(
                UsageError(
                    f"maximum={maximum} is less than the {self.nprocs} worker processes of one node",
                    hint=f"maximum={self.nprocs} is one worker node",
                )
            )
        minimum = keywords.get("minimum")
        if minimum is not None and maximum is not None and minimum > maximum:
            raise self._ready(
                UsageError(f"minimum={minimum} is more than maximum={maximum}", hint="exchange the two")
            )
        return super().adapt(Adaptive, **keywords)

    async def resize(self, nodes: int, *, first: Sequence[str] = ()) -> None:
        """Bring the cluster to a number of worker nodes; ``BakeError`` if that failed.

        Args:
            first: private addresses of worker nodes to end before others.
        """
        await self._scale_to(nodes + 1, first)

    def say(self, text: str) -> None:
        """Keep a message for ``get_logs``, and print it unless the cluster is quiet."""
        self._log(text)  # type: ignore[no-untyped-call]

    def close(self, timeout: float | None = None) -> Any:
        """Close the connections, and end the cluster, unless ``shutdown_on_close`` is off."""
        if self.status == Status.closed or self.asynchronous:
            return super().close(timeout)
        try:
            self.sync(self._disconnect, callback_timeout=timeout)  # type: ignore[no-untyped-call]
        finally:
            self._loop_runner.stop()  # type: ignore[no-untyped-call]
            self.status = Status.closed
            if self.shutdown_on_close:
                self._shown(self._backend.end)
        return None

    async def _start(self) -> None:
        if self._connection is None:
            try:
                self._connection = await in_thread(self._backend.start)
            except BaseException as error:
                self.status = Status.closed
                if isinstance(error, BakeError):
                    raise self._ready(error) from None
                raise
        self._nodes = max(1, self._connection.cluster.size - 1)
        await self._attach(self._connection.address, self._connection.security)

    async def _close(self) -> None:
        if self.status == Status.closed:
            return
        if self.status == Status.created and self._starting is None:
            self.status = Status.closed  # nothing was started
            return
        await self._disconnect()
        if self.shutdown_on_close:
            try:
                await in_thread(self._backend.end)
            except BakeError as error:
                raise self._ready(error) from None

    async def _disconnect(self) -> None:
        """End what is under way, and close the connections."""
        if self._starting is not None and not self._starting.done():
            self._starting.cancel()
            await asyncio.wait([self._starting])
        self.status = Status.closing
        for task in (self._scaling, self._operation):
            if task is not None and not task.done():
                task.cancel()
                await asyncio.wait([task])
        await self._detach()
        if (connection := self._connection) is not None:
            await in_thread(lambda _: connection.close())

    async def _wait_for_workers(self, n_workers: int = 0, timeout: float | None = None) -> None:
        """Wait for the workers, or raise why the cluster could not get so many."""
        if self._scale_error is not None and n_workers > len(self.observed):
            raise self._scale_error
        waiting = asyncio.ensure_future(super()._wait_for_workers(n_workers, timeout=timeout))  # type: ignore[no-untyped-call]
        try:
            while not waiting.done():
                scaling = self._scaling
                ends = [waiting] if scaling is None or scaling.done() else [waiting, scaling]
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                if self._scale_error is not None and not waiting.done():
                    raise self._scale_error
            await waiting
        finally:
            waiting.cancel()

    def _begin_scaling(self, count: int) -> "asyncio.Task[None]":
        before, self._scale_error = self._scaling, None

        async def scale() -> None:
            if before is not None and not before.done():
                before.cancel()  # a later number replaces an earlier one
                await asyncio.wait([before])
            await self._scale_to(count)

        self._scaling = task = asyncio.ensure_future(scale())
        task.add_done_callback(self._end_scaling)
        return task

    def _end_scaling(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and isinstance(error := task.exception(), BakeError):
            self._scale_error = error
            self.say(str(error))

    async def _scale_to(self, count: int, first: Sequence[str] = ()) -> None:
        async with self._one_at_a_time:
            self._check_open()
            before, self._nodes = self._nodes, count - 1
            calling = in_thread(lambda interrupt: self._backend.scale(count, interrupt, first=first))
            self._operation = asyncio.ensure_future(calling)
            try:
                reached = await self._operation
            except BakeError as error:
                self._nodes = before
                raise self._ready(error) from None
            except BaseException:
                self._nodes = before
                raise
            self._nodes = max(1, reached - 1)

    def _check_open(self) -> None:
        if self.status in (Status.closing, Status.closed):
            raise self._ready(
                UsageError(f"the cluster {self.name} is closed", hint="BakeCluster() makes another")
            )

    def _processes(self, n: int, *, cores: float | None, memory: str | float | None) -> int:
        workers = self.scheduler_info["workers"].values()
        threads = min((each["nthreads"] for each in workers), default=0)
        limit = min((each["memory_limit"] or 0 for each in workers), default=0)
        threads = threads or (self._connection.cluster.nthreads if self._connection else 0)
        for what, value, known in (("cores", cores, threads), ("memory", memory, limit)):
            if value is not None and not known:
                raise self._ready(
                    UsageError(
                        f"{what}={value}: no worker has said yet how much it has",
                        hint="scale(n) gives the number of worker processes",
                    )
                )
        needed = [n]
        if cores is not None:
            needed.append(math.ceil(cores / threads))
        if memory is not None:
            needed.append(math.ceil(parse_bytes(memory) / limit))
        return max(needed)

    def _nodes_for(self, processes: int) -> int:
        if processes < 1:
            raise self._ready(
                UsageError(
                    f"a cluster has at least one worker node, and scale({processes}) asks for none",
                    hint=f'scale({self.nprocs}) is one worker node; down("{self.name}") ends the cluster',
                )
            )
        return math.ceil(processes / self.nprocs)

    def _shown(self, call: Callable[[Interrupt], T]) -> T:
        """Return the result of the backend's call on this thread."""
        try:
            return call(Interrupt())
        except BakeError as error:
            raise self._ready(error) from None

    def _ready(self, error: BakeError) -> BakeError:
        return ready(error, self._flags)


_INSTANCES: "weakref.WeakSet[ManagedCluster]" = weakref.WeakSet()


@cache
def _close_all_at_exit() -> None:
    atexit.register(close_all)


def close_all() -> None:
    """End the clusters that nobody has closed, when the interpreter exits."""
    for cluster in list(_INSTANCES):
        if cluster.shutdown_on_close and cluster.status not in (Status.closed, Status.created):
            try:
                cluster.close(timeout=10)
            except BakeError as error:
                sys.stderr.write(f"{error}\n")
            except (TimeoutError, RuntimeError):  # of the loop, which may be gone; the cluster was ended
                pass
