"""Blocking functions beside an event loop, in a thread; a task that is cancelled interrupts its function."""

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

from dask_bake.errors import BakeError
from dask_bake.events import Event, Notify

T = TypeVar("T")


class Interrupt:
    """A way to raise ``KeyboardInterrupt`` in a thread, at its next pause or the next event that it sends.

    It is raised once for each request, so that the clean-up after it can pause.
    """

    def __init__(self) -> None:
        self._is_requested = threading.Event()

    def request(self) -> None:
        """Interrupt the thread soon."""
        self._is_requested.set()

    def sleep(self, seconds: float) -> None:
        """Pause, or raise ``KeyboardInterrupt``."""
        if self._is_requested.wait(seconds):
            self.check()

    def check(self) -> None:
        """Raise ``KeyboardInterrupt`` if it was requested."""
        if self._is_requested.is_set():
            self._is_requested.clear()
            raise KeyboardInterrupt

    def checked(self, notify: Notify) -> Notify:
        """Return the same function, which first raises ``KeyboardInterrupt`` if it was requested."""

        def check_and_notify(event: Event) -> None:
            self.check()
            notify(event)

        return check_and_notify


async def in_thread(call: Callable[[Interrupt], T]) -> T:
    """Return the result of a blocking function; if the task is cancelled, wait until it has cleaned up.

    Raises:
        BakeError: the function's, also after a cancellation: something may be left that costs money.
    """
    interrupt = Interrupt()
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    results: list[T] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            results.append(call(interrupt))
        except BaseException as error:
            errors.append(error)
        loop.call_soon_threadsafe(ended.set)

    # A thread of its own: those of an executor cannot be started any more while the interpreter exits.
    threading.Thread(target=work, name="dask-bake", daemon=True).start()
    cancelled: asyncio.CancelledError | None = None
    while not ended.is_set():
        try:
            await ended.wait()
        except asyncio.CancelledError as error:
            interrupt.request()
            cancelled = error
    failure = errors[0] if errors else None
    if isinstance(failure, Exception) and (cancelled is None or isinstance(failure, BakeError)):
        raise failure
    if cancelled is not None or failure is not None:
        raise cancelled or asyncio.CancelledError  # a KeyboardInterrupt would end the event loop
    return results[0]
