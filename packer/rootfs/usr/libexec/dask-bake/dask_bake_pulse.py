"""Loaded by the scheduler: says again and again that it lives, who is connected, and whether anything runs.

The dashboard's own counts go through every task, which may be millions.
"""

import json
import os
import time
from typing import Any

from tornado.ioloop import PeriodicCallback

PAUSE = 2000
"""Milliseconds."""
NOT_PEOPLE = ("fire-and-forget", "Client-worker-")
"""What the scheduler counts as clients besides: it itself, and tasks that ask for a client."""


def pulse(scheduler: Any) -> dict[str, Any]:
    """What there is to say."""
    return {
        "at": time.monotonic(),
        "pid": os.getpid(),
        "clients": sum(not name.startswith(NOT_PEOPLE) for name in scheduler.clients),
        "running": any(worker.processing for worker in scheduler.workers.values()),
    }


def dask_setup(scheduler: Any) -> None:
    """Say it while the scheduler lives."""
    path = os.path.join(os.environ["RUNTIME_DIRECTORY"], "pulse.json")

    def tell() -> None:
        with open(f"{path}.new", "w") as file:
            json.dump(pulse(scheduler), file)
        os.replace(f"{path}.new", path)

    tell()
    PeriodicCallback(tell, PAUSE).start()
