"""The program on the head, on a scheduler and workers of this process, each on an address of its own."""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import dask
import pytest
from distributed import Client, Scheduler, Worker

from dask_bake.scaling import head_program
from dask_bake.scaling.head_program import count, drain, end, forget, loads, look

RAN: Counter[Any] = Counter()
MAY_END = threading.Event()
CONFIGURATION = {
    "distributed.scheduler.active-memory-manager.interval": "100ms",
    "distributed.comm.timeouts.connect": "5s",
}


def work(number: int) -> int:
    RAN[number] += 1
    time.sleep(0.005)
    return number


def wait_for_test(number: int) -> int:
    RAN[number] += 1
    assert MAY_END.wait(20)
    return number


class Counting:
    """An actor."""


@dataclass
class Dask:
    scheduler: Any
    client: Any
    stack: AsyncExitStack

    async def worker(self, number: int) -> Any:
        """Start a worker on the node of that number."""
        return await self.stack.enter_async_context(
            Worker(self.scheduler.address, host=host(number), nthreads=1, name=f"{number}-{time.time()}")
        )

    async def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)

    async def emptied(self) -> None:
        def is_empty() -> bool:
            answer = look(self.scheduler)
            assert not answer["failed"], answer
            return not any(answer["left"].values())

        await self.until(is_empty)

    def on(self, number: int) -> list[Any]:
        return [each for each in self.scheduler.workers.values() if each.host == host(number)]


def host(number: int) -> str:
    return f"127.0.0.{10 + number}"


@asynccontextmanager
async def dask_of(workers: int) -> AsyncIterator[Dask]:
    async with AsyncExitStack() as stack:
        scheduler = await stack.enter_async_context(
            Scheduler(host="127.0.0.1", port=0, dashboard=False, dashboard_address=":0")
        )
        there = Dask(scheduler, None, stack)
        for number in range(1, workers + 1):
            await there.worker(number)
        there.client = await stack.enter_async_context(Client(scheduler.address, asynchronous=True))
        yield there


@pytest.fixture
def run() -> Callable[[Callable[[Dask], Awaitable[None]], int], None]:
    """Run a test's coroutine on a scheduler with so many nodes."""
    RAN.clear()
    MAY_END.clear()

    def running(test: Callable[[Dask], Awaitable[None]], workers: int = 3) -> None:
        async def main() -> None:
            async with dask_of(workers) as there:
                await test(there)

        with dask.config.set(CONFIGURATION):
            asyncio.run(main())

    return running


def test_nodes_leave_a_running_map_and_no_task_runs_twice(run):
    async def test(there: Dask) -> None:
        futures = there.client.map(work, range(200))
        await there.until(lambda: len(RAN) > 20)

        await drain([host(2), host(3)], there.scheduler)
        await there.emptied()
        assert end(there.scheduler) == {"left": {host(2): 0, host(3): 0}}
        await forget([host(2), host(3)], there.scheduler)

        assert count([host(2), host(3)], there.scheduler) == {"workers": 0}
        assert sum(await there.client.gather(futures)) == sum(range(200))
        assert Counter(range(200)) == RAN

    run(test)


def test_a_task_that_runs_is_waited_for_and_what_waits_behind_it_goes_elsewhere(run):
    async def test(there: Dask) -> None:
        first = there.client.submit(wait_for_test, -1, workers=[host(1)], allow_other_workers=True)
        await there.until(lambda: RAN[-1] == 1)
        behind = there.client.map(work, range(5), workers=[host(1)], allow_other_workers=True)
        await drain([host(1)], there.scheduler)

        assert sorted(await there.client.gather(behind)) == list(range(5))
        assert look(there.scheduler)["left"] == {host(1): 1}
        MAY_END.set()
        await there.emptied()
        await forget([host(1)], there.scheduler)
        assert await first == -1
        assert Counter([-1, *range(5)]) == RAN

    run(test, 2)


def test_nodes_that_may_stay_work_again(run):
    async def test(there: Dask) -> None:
        await drain([host(1)], there.scheduler)
        await there.until(lambda: [each.status.name for each in there.on(1)] == ["closing_gracefully"])
        await forget([], there.scheduler)

        await there.until(lambda: [each.status.name for each in there.on(1)] == ["running"])
        assert await there.client.submit(work, 1, workers=[host(1)]) == 1

    run(test, 2)


def test_a_worker_that_was_restarted_on_a_node_that_leaves_gets_no_task(run):
    async def test(there: Dask) -> None:
        await drain([host(2)], there.scheduler)
        worker = await there.worker(2)
        assert sorted(await there.client.gather(there.client.map(work, range(20)))) == list(range(20))

        assert worker.state.tasks == {}
        assert {each.status.name for each in there.on(2)} == {"closing_gracefully"}

    run(test, 2)


def test_an_actor_and_a_task_bound_to_its_node_are_named(run):
    async def test(there: Dask) -> None:
        actor = await there.client.submit(Counting, actor=True, workers=[host(1)])
        bound = there.client.submit(wait_for_test, 1, workers=[host(2)])
        await there.until(lambda: RAN[1] == 1)

        found = loads(there.scheduler)["loads"]
        assert {each: load["holds"] for each, load in found.items()} == {
            host(1): "an actor",
            host(2): "a task that may run nowhere else",
            host(3): "",
        }
        assert (found[host(2)]["workers"], found[host(2)]["tasks"]) == (1, 1)
        MAY_END.set()
        await bound
        del actor

    run(test)


def test_results_without_room_elsewhere_keep_the_nodes(run):
    async def test(there: Dask) -> None:
        futures = there.client.map(work, range(4))
        await there.client.gather(futures)
        await drain([host(1), host(2)], there.scheduler)

        await there.until(lambda: bool(look(there.scheduler)["failed"]))
        await forget([], there.scheduler)
        await there.until(
            lambda: {each.status.name for each in there.scheduler.workers.values()} == {"running"}
        )
        assert sorted(await there.client.gather(futures)) == list(range(4))
        assert Counter(range(4)) == RAN

    run(test, 2)


def test_nodes_work_again_when_nobody_asks_any_more(run, monkeypatch):
    monkeypatch.setattr(head_program, "LEASE", 0.0)

    async def test(there: Dask) -> None:
        await drain([host(1)], there.scheduler)
        await there.until(lambda: [each.status.name for each in there.on(1)] == ["running"])

        assert "failed" in look(there.scheduler)
        assert "failed" in end(there.scheduler)

    run(test, 2)
