"""Dask preload of each worker process: leave the cluster, data first, when the node is to be reclaimed."""

import os
from typing import Any

from tornado.ioloop import PeriodicCallback

FLAG = "/run/dask-bake/draining"
INTERVAL = 500
"""Milliseconds between two looks at the flag."""


def dask_setup(worker: Any) -> None:
    """Check the flag for as long as the worker lives."""

    async def check() -> None:
        if os.path.exists(FLAG):
            checking.stop()
            await worker.close_gracefully(restart=False, reason="the node is going")

    checking = PeriodicCallback(check, INTERVAL)
    checking.start()
