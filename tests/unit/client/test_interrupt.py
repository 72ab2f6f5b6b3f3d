"""Blocking functions beside an event loop."""

import asyncio
import threading

import pytest

from dask_bake.client.interrupt import Interrupt, in_thread
from dask_bake.errors import BakeError, LeftoverError
from dask_bake.events import Note, ignore

LIMIT = 30.0


def test_a_function_s_result_and_its_error_are_its_caller_s():
    async def use():
        assert await in_thread(lambda _: 42) == 42
        with pytest.raises(BakeError, match="refused"):
            await in_thread(refuse)

    def refuse(_):
        raise BakeError("refused")

    asyncio.run(use())


def waiting(begun, then=None):
    """Return a function that waits until it is interrupted, and then cleans up."""
    done = []

    def wait(interrupt):
        begun.set()
        try:
            interrupt.sleep(LIMIT)
        except KeyboardInterrupt:
            interrupt.sleep(0.0)  # the clean-up is not interrupted by the same request
            done.append("undone")
            if then is not None:
                raise then from None
            raise
        return "not interrupted"

    return wait, done


async def cancelled(function, begun):
    task = asyncio.ensure_future(in_thread(function))
    while not begun.is_set():
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    return task


def test_a_task_that_is_cancelled_ends_when_the_function_has_cleaned_up():
    begun = threading.Event()
    function, done = waiting(begun)

    async def use():
        assert (await cancelled(function, begun)).cancelled()

    asyncio.run(use())
    assert done == ["undone"]


def test_what_may_be_left_is_raised_although_the_task_was_cancelled():
    begun = threading.Event()
    left = LeftoverError("something may be left")
    function, _ = waiting(begun, then=left)

    async def use():
        assert (await cancelled(function, begun)).exception() is left

    asyncio.run(use())


def test_an_event_interrupts_as_a_pause_does_and_once():
    interrupt = Interrupt()
    notify = interrupt.checked(ignore)
    notify(Note("fine"))
    interrupt.request()
    with pytest.raises(KeyboardInterrupt):
        notify(Note("interrupted"))
    notify(Note("fine"))
    interrupt.sleep(0.0)
