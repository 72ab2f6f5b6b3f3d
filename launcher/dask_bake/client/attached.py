"""Part of a ``distributed.deploy.Cluster`` that follows a scheduler which somebody else runs."""

import asyncio
from contextlib import suppress
from html import escape
from typing import Any

from distributed.core import Status, rpc
from distributed.deploy.cluster import Cluster
from distributed.objects import SchedulerInfo
from distributed.security import Security
from distributed.utils import format_dashboard_link

LOOK_INTERVAL, PER_WORKER = 1.0, 0.005
"""Seconds between two looks at the scheduler's workers: one, and more with very many workers."""


class AttachedCluster(Cluster):
    """A cluster whose scheduler is reached at an address; its connections break and come back.

    Subclasses call ``_attach`` once the address is known.
    """

    security: Security

    def __init__(
        self, name: str, *, asynchronous: bool = False, loop: Any = None, quiet: bool = False
    ) -> None:
        super().__init__(  # type: ignore[no-untyped-call]
            asynchronous=asynchronous,
            loop=loop,
            quiet=quiet,
            name=name,
        )
        self._starting: asyncio.Task[None] | None = None
        self._following: asyncio.Task[None] | None = None

    def __await__(self) -> Any:
        return self._started().__await__()

    async def _start(self) -> None:
        """Find the scheduler, and attach to it."""
        raise NotImplementedError

    async def _started(self) -> "AttachedCluster":
        """Start the cluster once, however many clients wait for it."""
        if self.status == Status.created:
            if self._starting is None:
                self._starting = asyncio.ensure_future(self._start())
            try:
                await asyncio.shield(self._starting)
            except asyncio.CancelledError:
                self._starting.cancel()
                await asyncio.wait([self._starting])
                if not self._starting.cancelled() and (error := self._starting.exception()) is not None:
                    raise error from None
                raise
        return self

    async def _attach(self, address: str, security: Security) -> None:
        """Connect to the scheduler, and follow its workers.

        Dask's own way, a subscription, would end that of any other process: the scheduler has only one.
        """
        self.security = security
        arguments = security.get_connection_args("client")  # type: ignore[no-untyped-call]
        self.scheduler_comm = scheduler = rpc(address, connection_args=arguments)  # type: ignore[no-untyped-call]
        self.scheduler_info = SchedulerInfo(await scheduler.identity())
        self.status = Status.running
        self._following = asyncio.ensure_future(self._follow())
        for callback in self.periodic_callbacks.values():
            callback.start()

    async def _follow(self) -> None:
        """Ask for the workers again and again; connections break, and are made again."""
        while (scheduler := self.scheduler_comm) is not None:
            await asyncio.sleep(max(LOOK_INTERVAL, len(self.scheduler_info["workers"]) * PER_WORKER))
            with suppress(OSError, asyncio.TimeoutError):
                self.scheduler_info = SchedulerInfo(await scheduler.identity())

    async def _detach(self) -> None:
        """Close the connections to the scheduler."""
        self.status = Status.closing
        if self._following is not None:
            self._following.cancel()
            await asyncio.wait([self._following])
        await super()._close()  # type: ignore[no-untyped-call]

    async def _close(self) -> None:
        await self._detach()

    def _repr_html_(self, cluster_status: str | None = None) -> str:
        """Return Dask's description, with the dashboard's link that works from here."""
        page = str(super()._repr_html_(cluster_status))  # type: ignore[no-untyped-call]
        return with_link(page, self.scheduler_info, self.dashboard_link)


def with_link(page: str, info: Any, link: str | None) -> str:
    """Return a page of Dask's with this link in place of the one with the scheduler's own address."""
    try:
        host = info["address"].partition("://")[2].rpartition(":")[0]
        port = info["services"]["dashboard"]
    except (KeyError, AttributeError, TypeError):
        return page
    own = str(format_dashboard_link(host, port))  # type: ignore[no-untyped-call]
    return page.replace(escape(own), escape(link or "")).replace(own, escape(link or ""))
