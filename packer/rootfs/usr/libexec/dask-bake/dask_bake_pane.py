"""The cluster of this head in JupyterLab's Dask pane: what dask-labextension calls a cluster's factory."""

import json
from collections.abc import Generator
from typing import Any, NoReturn

import dask.config
from tornado.httpclient import AsyncHTTPClient, HTTPError
from tornado.ioloop import PeriodicCallback

IDENTITY = "http://127.0.0.1:8787/json/identity.json"
TIMEOUT = 5.0
INTERVAL = 2000
"""Milliseconds between two looks at the scheduler."""


class ThisCluster:
    """This head's cluster, as it is: the pane shows it, and can neither end nor scale it."""

    def __init__(self, **_: object) -> None:
        self.scheduler_info: dict[str, Any] = {"workers": {}}
        self.dashboard_link = str(dask.config.get("distributed.dashboard.link"))
        self.scheduler_address = str(dask.config.get("scheduler-address"))
        self._watching = PeriodicCallback(self._look, INTERVAL)

    def __await__(self) -> Generator[Any, None, "ThisCluster"]:
        """Return the cluster when its workers are known."""
        return self._start().__await__()

    def scale(self, _count: int) -> NoReturn:
        """Refuse it: a head has no permission to launch instances."""
        raise NotImplementedError("the cluster can be changed only from the machine that launched it")

    def adapt(self, **_: object) -> NoReturn:
        """Refuse it, as ``scale`` does."""
        self.scale(0)

    def close(self) -> None:
        """Take the cluster out of the pane; it goes on."""
        self._watching.stop()

    async def _start(self) -> "ThisCluster":
        await self._look()
        self._watching.start()
        return self

    async def _look(self) -> None:
        """Read the workers from the scheduler; without an answer, there are none."""
        try:
            answer = await AsyncHTTPClient().fetch(IDENTITY, request_timeout=TIMEOUT)
            self.scheduler_info = {"workers": workers_of(json.loads(answer.body))}
        except (OSError, HTTPError, ValueError, LookupError, TypeError, AttributeError):
            self.scheduler_info = {"workers": {}}


def workers_of(identity: Any) -> dict[str, dict[str, int]]:
    """Return what the pane needs of each worker of a scheduler."""
    return {
        str(address): {"nthreads": int(each["nthreads"]), "memory_limit": int(each["memory_limit"] or 0)}
        for address, each in identity["workers"].items()
    }
