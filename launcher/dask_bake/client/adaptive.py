"""Dask's Adaptive for whole nodes, which take seconds to come and cost money while they stay."""

import math
import operator
import time
from collections.abc import Callable
from typing import Any

from distributed.deploy.adaptive import Adaptive
from distributed.protocol import pickle

from dask_bake.errors import BakeError

INTERVAL = "2s"
WAIT_COUNT = 15
"""Looks at which a node has to be idle, one after the other, before it is ended: half a minute."""
COOL_DOWN = 30.0
"""Seconds after a change before a node is ended: what was just started is not ended for a short lull."""
FIRST_RETRY, LAST_RETRY = 30.0, 600.0
"""Seconds until a refused number of nodes is asked for again; they double with each refusal."""
ONE_HOST = pickle.dumps(operator.attrgetter("host"))  # type: ignore[no-untyped-call]
"""The group in which Dask considers workers for closing: those of one node."""


class NodeAdaptive(Adaptive):
    """Adaptive with bounds in whole nodes, which ends idle nodes only and asks ever more rarely.

    Args:
        cluster: a ``ManagedCluster``.
        cool_down: seconds after a change before a node is ended.
    """

    cluster: Any

    def __init__(
        self,
        cluster: Any,
        *,
        interval: Any = None,
        wait_count: int | None = None,
        cool_down: float = COOL_DOWN,
        clock: Callable[[], float] = time.monotonic,
        **keywords: Any,
    ) -> None:
        self._cool_down = cool_down
        self._clock = clock
        self._changed_at = -math.inf
        self._retry_at = -math.inf
        self._pause = FIRST_RETRY
        self._missing_looks = 0
        self._idle_looks: dict[str, int] = {}
        super().__init__(
            cluster,
            interval=INTERVAL if interval is None else interval,
            wait_count=WAIT_COUNT if wait_count is None else wait_count,
            **keywords,
        )

    @property
    def least_nodes(self) -> int:
        """The lowest number of worker nodes; never none, as a scheduler alone computes nothing."""
        return max(1, math.ceil(self.minimum / int(self.cluster.nprocs)))

    @property
    def most_nodes(self) -> float:
        """The highest number of worker nodes."""
        return math.inf if math.isinf(self.maximum) else max(1, self.maximum // self.cluster.nprocs)

    async def safe_target(self) -> int:
        """Return how many worker processes there should be: whole nodes, within the bounds."""
        target = await self.target()  # type: ignore[no-untyped-call]
        nodes = math.ceil(target / self.cluster.nprocs)
        return int(max(self.least_nodes, min(nodes, self.most_nodes))) * int(self.cluster.nprocs)

    async def recommendations(self, target: int) -> dict[str, Any]:
        """Return what to do: nothing, more nodes, or fewer."""
        nprocs, nodes = self.cluster.nprocs, self.cluster.worker_nodes
        wanted = target // nprocs
        if wanted > nodes or self._are_missing(target):
            self._idle_looks.clear()
            if self._clock() < self._retry_at:
                return {"status": "same"}
            return {"status": "up", "n": target}
        if wanted == nodes:
            self._idle_looks.clear()
            return {"status": "same"}
        above = nodes > self.most_nodes
        if self._clock() < self._changed_at + self._cool_down and not above:
            self._idle_looks.clear()
            return {"status": "same"}
        firm = self._count(await self._idle_hosts(self.least_nodes * nprocs))
        spare = min(nodes - wanted, len(firm))
        if spare < 1:
            return {"status": "same"}
        for host in firm[:spare]:
            del self._idle_looks[host]
        return {"status": "down", "workers": firm[:spare]}

    async def scale_up(self, n: int) -> None:  # type: ignore[override]
        """Bring the cluster to so many worker processes; if that is refused, say so, and pause."""
        try:
            await self.cluster.resize(n // self.cluster.nprocs)
        except BakeError as error:
            self._retry_at = self._clock() + self._pause
            self.cluster.say(
                f"No more workers now: {error}\n"
                f"The next attempt is in {self._pause:.0f} s, if they are needed then."
            )
            self._pause = min(2 * self._pause, LAST_RETRY)
        else:
            self._pause, self._changed_at = FIRST_RETRY, self._clock()

    async def scale_down(self, workers: list[str]) -> None:  # type: ignore[override]
        """End these nodes, once they are drained, so that nothing is lost or computed again."""
        try:
            await self.cluster.resize(self.cluster.worker_nodes - len(workers), first=workers)
        except BakeError as error:
            self.cluster.say(f"No fewer workers now: {error}")
        self._changed_at = self._clock()

    def _are_missing(self, target: int) -> bool:
        """Return whether workers that are needed have been away for so long that they do not come back."""
        is_missing = len(self.observed) < min(target, self.cluster.worker_nodes * self.cluster.nprocs)
        self._missing_looks = self._missing_looks + 1 if is_missing else 0
        if self._missing_looks >= self.wait_count:
            self._missing_looks = 0
            return True
        return False

    async def _idle_hosts(self, minimum: int) -> set[str]:
        """Return the nodes none of whose workers computes, as far as the others can hold their data."""
        addresses = set(
            await self.scheduler.workers_to_close(
                key=ONE_HOST,
                memory_ratio=2,
                minimum=minimum,
                attribute="address",
                **self._workers_to_close_kwargs,
            )
        )
        hosts: dict[str, set[str]] = {}
        for address, worker in self.cluster.scheduler_info["workers"].items():
            hosts.setdefault(worker["host"], set()).add(address)
        # Dask leaves out workers whose tasks have let others run; they are busy all the same.
        return {host for host, each in hosts.items() if each <= addresses}

    def _count(self, idle: set[str]) -> list[str]:
        """Count the looks at which each node was idle, and return those that have been so for long enough."""
        self._idle_looks = {host: self._idle_looks.get(host, 0) + 1 for host in idle}
        return sorted(host for host, looks in self._idle_looks.items() if looks >= self.wait_count)
