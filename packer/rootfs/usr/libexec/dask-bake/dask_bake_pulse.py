"""Dask preload of the scheduler: write every two seconds that it lives, who is connected, and if tasks run.

The dashboard's own counters visit every task, and there may be millions.
"""

import json
import os
import time
from typing import Any

from tornado.ioloop import PeriodicCallback

INTERVAL = 2000
"""Milliseconds between two pulses."""
INTERNAL_CLIENTS = ("fire-and-forget", "Client-worker-")
"""The scheduler's names for itself and for tasks that use a client."""


def pulse(scheduler: Any) -> dict[str, Any]:
    """Return the scheduler's state."""
    return {
        "at": time.monotonic(),
        "pid": os.getpid(),
        "clients": sum(not name.startswith(INTERNAL_CLIENTS) for name in scheduler.clients),
        "running": any(worker.processing for worker in scheduler.workers.values()),
    }


def dask_setup(scheduler: Any) -> None:
    """Write a pulse now, and then for as long as the scheduler lives."""
    path = os.path.join(os.environ["RUNTIME_DIRECTORY"], "pulse.json")

    def write() -> None:
        with open(f"{path}.new", "w") as file:
            json.dump(pulse(scheduler), file)
        os.replace(f"{path}.new", path)

    write()
    PeriodicCallback(write, INTERVAL).start()
