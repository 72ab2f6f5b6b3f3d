"""Loaded by each worker process: when its node is to go, its data moves to others, and it leaves."""

import os
from typing import Any

from tornado.ioloop import PeriodicCallback

FLAG = "/run/dask-bake/draining"
PAUSE = 500
"""Milliseconds."""


def dask_setup(worker: Any) -> None:
    """Look for the flag while the worker lives."""

    async def look() -> None:
        if os.path.exists(FLAG):
            looking.stop()
            await worker.close_gracefully(restart=False, reason="the node is going")

    looking = PeriodicCallback(look, PAUSE)
    looking.start()
