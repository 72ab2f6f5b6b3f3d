"""Run independent AWS look-ups concurrently."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

from dask_bake.errors import BakeError


class BackgroundCall:
    """A call in a thread of its own; the thread is a daemon, so that Ctrl-C ends the command without it."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self._call = call
        self._result: Any = None
        self._error: BaseException | None = None
        self._ended = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    @property
    def has_ended(self) -> bool:
        """True once there is a result, or an error."""
        return self._ended.is_set()

    def result(self) -> Any:
        """Wait for the call, and return its result or raise its error."""
        # With a time-out, or a signal would wait for the lock.
        while not self._ended.wait(1.0):
            pass
        return self._result_or_error()

    def result_within(self, seconds: float) -> Any | None:
        """Return the result, or ``None`` where there is none by then or the call raised a ``BakeError``."""
        if not self._ended.wait(seconds):
            return None
        try:
            return self._result_or_error()
        except BakeError:
            return None

    def _result_or_error(self) -> Any:
        if self._error is not None:
            raise self._error
        return self._result

    def _run(self) -> None:
        try:
            self._result = self._call()
        except BaseException as error:
            self._error = error
        finally:
            self._ended.set()


def gather(*calls: Callable[[], Any]) -> tuple[Any, ...]:
    """Run the calls concurrently; return their results in order, or raise the first one's error."""
    running = [BackgroundCall(call) for call in calls]
    return tuple(call.result() for call in running)


def gather_bounded(calls: Sequence[Callable[[], Any]], most: int) -> tuple[Any, ...]:
    """Run the calls, at most so many of them at a time; return their results in order, or raise an error."""
    results: dict[int, Any] = {}
    waiting = iter(enumerate(calls))
    lock = threading.Lock()

    def work() -> None:
        while True:
            with lock:
                item = next(waiting, None)
            if item is None:
                return
            results[item[0]] = item[1]()

    gather(*[work] * min(most, len(calls)))
    return tuple(results[number] for number in range(len(calls)))
