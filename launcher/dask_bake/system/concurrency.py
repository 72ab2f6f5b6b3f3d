"""Questions asked at the same time, because each takes a journey to AWS and back."""

import threading
from collections.abc import Callable
from typing import Any

from dask_bake.errors import BakeError


class Asking:
    """A question that is being asked; its thread is a daemon: Ctrl-C ends the command without an answer."""

    def __init__(self, question: Callable[[], Any]) -> None:
        self._question = question
        self._answer: Any = None
        self._error: BaseException | None = None
        self._ended = threading.Event()
        threading.Thread(target=self._ask, daemon=True).start()

    def answer(self) -> Any:
        """What was answered, once it is there; or raises what the question raised."""
        # With a time-out, or a signal would wait for the lock.
        while not self._ended.wait(1.0):
            pass
        return self._told()

    def within(self, seconds: float) -> Any | None:
        """What was answered by then; ``None`` where nothing was, or where there is no answer."""
        if not self._ended.wait(seconds):
            return None
        try:
            return self._told()
        except BakeError:
            return None

    def _told(self) -> Any:
        if self._error is not None:
            raise self._error
        return self._answer

    def _ask(self) -> None:
        try:
            self._answer = self._question()
        except BaseException as error:
            self._error = error
        finally:
            self._ended.set()


def together(*questions: Callable[[], Any]) -> tuple[Any, ...]:
    """The answers in the order of the questions; the first question that failed raises what it raised."""
    askings = [Asking(question) for question in questions]
    return tuple(asking.answer() for asking in askings)
