"""Signals that end a command: which of them are heeded, and how often."""

import signal
from types import FrameType

MOST = 3
"""The first ends the work, the second its undoing, the third the questions what is left."""


class Interrupts:
    """Makes ``KeyboardInterrupt`` of the signals by which a command is ended."""

    def __init__(self) -> None:
        self._count = 0
        self._heeded: list[int] = []

    def listen(self) -> None:
        """From now on; what is ignored already, as under ``nohup``, stays ignored."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._come)
                self._heeded.append(number)

    def end(self) -> None:
        """There is nothing more to end: what is left to say is said."""
        for number in self._heeded:
            signal.signal(number, signal.SIG_IGN)

    def _come(self, number: int, _frame: FrameType | None) -> None:
        # A terminal that closes says so two or three times, and nobody reads there what is left.
        if self._count and number == signal.SIGHUP:
            return
        self._count += 1
        if self._count <= MOST:
            raise KeyboardInterrupt


def outlive_terminal() -> None:
    """From now on a terminal that closes ends nothing, if this process has listened for that."""
    if isinstance(getattr(signal.getsignal(signal.SIGHUP), "__self__", None), Interrupts):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
