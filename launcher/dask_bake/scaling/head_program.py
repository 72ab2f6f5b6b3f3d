"""The program on the head that empties worker nodes before they end; it is sent there as text.

It runs in the cluster's own environment, so that the versions of this machine do not matter. What it does
happens within the scheduler, where no task can be assigned between a look and an act. It reads requests from
stdin and writes an answer to each, as JSON lines.
"""

import asyncio
import json
import sys
import time
from collections import Counter
from typing import Any

NAME = "dask-bake-leaving"
"""The key under which the scheduler keeps the nodes that leave."""
LEASE = 60.0
"""Seconds without a look after which the nodes work again: whoever wanted to end them is gone."""
ENDING_LEASE = 600.0
"""The same once EC2 was asked to end them."""
STEP, ASK_AGAIN = 0.1, 2.0
"""Seconds between two steps, and between two requests to give up the same task."""
ACTIVE = ("running", "paused")
LEAVING = "closing_gracefully"
"""Dask's status of workers that finish what they do, and get nothing more."""


class Leaving:
    """Nodes that leave: their workers get no more tasks, and what they have is moved or finished."""

    def __init__(self, scheduler: Any, hosts: list[str]) -> None:
        self.scheduler = scheduler
        self.hosts = set(hosts)
        self.failed = ""
        self.is_over = False
        self.expires = time.monotonic() + LEASE
        self._asked: dict[tuple[Any, str], float] = {}
        self._handler = scheduler.stream_handlers["worker-status-change"]
        scheduler.stream_handlers["worker-status-change"] = self._on_status
        for worker in self.workers():
            self._set(worker, LEAVING)
        self._steps = asyncio.ensure_future(self._run())

    def workers(self) -> list[Any]:
        """Return the workers of the nodes."""
        return [each for each in self.scheduler.workers.values() if each.host in self.hosts]

    def unique(self, worker: Any) -> list[Any]:
        """Return the worker's results that no worker has that stays."""
        staying = self.scheduler.running
        return [task for task in worker.has_what if not staying.intersection(task.who_has)]

    def left(self) -> dict[str, int]:
        """Return how many tasks and results each node has to lose."""
        count: Counter[str] = Counter()
        for worker in self.workers():
            count[worker.host] += len(worker.processing) + len(self.unique(worker))
        return dict(count)

    def give_up(self) -> None:
        """Let the workers that are still there work again."""
        if not self.is_over:
            self.is_over = True
            self.scheduler.stream_handlers["worker-status-change"] = self._handler
            self._let_work()

    def _let_work(self) -> None:
        for worker in self.workers():
            if worker.status.name == LEAVING:
                self._set(worker, "running")

    def _on_status(self, status: str, worker: str, stimulus_id: str) -> None:
        """Handle a worker's own message: one that was restarted meanwhile must not get tasks either."""
        known = self.scheduler.workers.get(worker)
        if known is not None and known.host in self.hosts and status in ACTIVE:
            self._set(known, LEAVING)
        else:
            self._handler(status=status, worker=worker, stimulus_id=stimulus_id)

    def _set(self, worker: Any, status: str) -> None:
        stimulus_id = f"{NAME}-{time.time()}"
        self._handler(status=status, worker=worker.address, stimulus_id=stimulus_id)
        self.scheduler.worker_send(
            worker.address, {"op": "worker-status-change", "status": status, "stimulus_id": stimulus_id}
        )

    async def _run(self) -> None:
        moving: Any = None
        while not self.is_over:
            began = time.monotonic()
            if began > self.expires:
                self.failed = "nobody has asked for a while"
                self.give_up()
                break
            for worker in self.workers():
                self._pass_tasks_on(worker)
            if moving is not None and moving.done():
                self._judge(moving)
                moving = None
            full = [worker.address for worker in self.workers() if self.unique(worker)]
            if moving is None and full and not self.failed:
                moving = asyncio.ensure_future(self._move_results(full))
            elif moving is not None and getattr(manager := self._memory_manager, "running", False):
                manager.run_once()  # by itself it looks every two seconds only
            # With many results a step takes long, and the scheduler has other work.
            await asyncio.sleep(max(STEP, 5 * (time.monotonic() - began)))
        if moving is not None:
            await asyncio.wait([moving])
            self._let_work()  # where it failed, Dask has told the worker to stay as it was

    @property
    def _memory_manager(self) -> Any:
        return self.scheduler.extensions.get("amm")

    async def _move_results(self, addresses: list[str]) -> list[str]:
        """Copy results to workers that stay, and return the workers for which that was impossible."""
        done = await self.scheduler.retire_workers(workers=addresses, close_workers=False, remove=False)
        return [each for each in addresses if each not in done and each in self.scheduler.workers]

    def _judge(self, moving: Any) -> None:
        error = moving.exception()
        if error is not None:
            self.failed = f"{type(error).__name__}: {error}"[:300]
        elif moving.result():
            self.failed = "the workers that stay have no room for the results of those that leave"

    def _pass_tasks_on(self, worker: Any) -> None:
        """Ask the worker to give up the tasks that it has not begun."""
        stealing = self.scheduler.extensions.get("stealing")
        if stealing is None:
            return
        now, given = time.monotonic(), Counter[Any]()
        for task in list(worker.processing):
            if task in worker.long_running:
                continue
            if now < self._asked.get((task.key, worker.address), float("-inf")) + ASK_AGAIN:
                continue
            valid = self.scheduler.valid_workers(task)
            others = self.scheduler.running if valid is None else self.scheduler.running.intersection(valid)
            if others:
                other = min(others, key=lambda one: (len(one.processing) + given[one]) / one.nthreads)
                given[other] += 1
                self._asked[task.key, worker.address] = now
                stealing.move_task_request(task, worker, other)


def bound(scheduler: Any, worker: Any) -> str:
    """Return what the worker has that no other can take; "" for nothing."""
    if worker.actors:
        return "an actor"
    for task in worker.processing:
        if (task.worker_restrictions or task.host_restrictions) and not task.loose_restrictions:
            valid = scheduler.valid_workers(task)
            if valid is not None and {each.host for each in valid} <= {worker.host}:
                return "a task that may run nowhere else"
    return ""


def loads(dask_scheduler: Any) -> dict[str, Any]:
    """Return the load of each node by its address."""
    found: dict[str, dict[str, Any]] = {}
    for worker in dask_scheduler.workers.values():
        none = {"workers": 0, "tasks": 0, "occupancy": 0.0, "nbytes": 0, "holds": ""}
        load = found.setdefault(worker.host, none)
        load["workers"] += 1
        load["tasks"] += len(worker.processing)
        load["occupancy"] += worker.occupancy
        load["nbytes"] += worker.nbytes
        load["holds"] = load["holds"] or bound(dask_scheduler, worker)
    return {"loads": found}


async def drain(hosts: list[str], dask_scheduler: Any) -> dict[str, Any]:
    """Begin to empty the nodes."""
    earlier = dask_scheduler.extensions.pop(NAME, None)
    if earlier is not None:
        earlier.give_up()
    leaving = Leaving(dask_scheduler, hosts)
    dask_scheduler.extensions[NAME] = leaving
    return {"left": leaving.left()}


def look(dask_scheduler: Any) -> dict[str, Any]:
    """Return what the nodes have left to lose, and why they cannot lose it."""
    leaving = dask_scheduler.extensions.get(NAME)
    if leaving is None or leaving.is_over:
        return {"failed": (leaving and leaving.failed) or "they were let work again"}
    leaving.expires = time.monotonic() + LEASE
    return {"left": leaving.left(), "failed": leaving.failed}


def end(dask_scheduler: Any) -> dict[str, Any]:
    """Keep the nodes empty until they are forgotten: EC2 is about to end them."""
    leaving = dask_scheduler.extensions.get(NAME)
    if leaving is None or leaving.is_over or any(leaving.left().values()):
        return {"failed": "they were let work again"}
    leaving.expires = time.monotonic() + ENDING_LEASE
    return {"left": leaving.left()}


async def forget(hosts: list[str], dask_scheduler: Any) -> dict[str, Any]:
    """Remove the workers of nodes that are gone, and let the other ones work again."""
    for worker in [each for each in dask_scheduler.workers.values() if each.host in hosts]:
        await dask_scheduler.remove_worker(
            worker.address, stimulus_id=f"{NAME}-{time.time()}", expected=True, close=True
        )
    leaving = dask_scheduler.extensions.pop(NAME, None)
    if leaving is not None:
        leaving.hosts -= set(hosts)
        leaving.give_up()
    return {}


def count(hosts: list[str], dask_scheduler: Any) -> dict[str, Any]:
    """Return how many workers of the nodes the scheduler knows."""
    return {"workers": sum(worker.host in hosts for worker in dask_scheduler.workers.values())}


REQUESTS = {"loads": loads, "drain": drain, "look": look, "end": end, "forget": forget, "count": count}


def main() -> None:
    """Answer requests until stdin ends."""
    from distributed import Client

    with Client(set_as_default=False) as client:  # type: ignore[no-untyped-call]
        for line in sys.stdin:
            request = json.loads(line)
            act = REQUESTS[request.pop("do")]
            try:
                answer = client.run_on_scheduler(act, **request)
            except Exception as error:  # the other end reports it
                answer = {"error": f"{type(error).__name__}: {error}"[:300]}
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
