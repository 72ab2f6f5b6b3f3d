"""Turn the signals that end a command into ``KeyboardInterrupt``, three times at most."""

import signal
from types import FrameType

MAX_INTERRUPTS = 3
"""The first ends the work, the second the clean-up, the third the search for what is left."""


class Interrupts:
    """Handler of SIGINT, SIGTERM and SIGHUP."""

    def __init__(self) -> None:
        self._count = 0
        self._handled: list[int] = []

    def listen(self) -> None:
        """Handle the signals from now on; one that is ignored already, as under ``nohup``, stays ignored."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._handle)
                self._handled.append(number)

    def end(self) -> None:
        """Ignore the signals: clean-up is finished, and output is to complete."""
        for number in self._handled:
            signal.signal(number, signal.SIG_IGN)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        # A terminal that closes sends SIGHUP two or three times, and nobody reads there what is left.
        if self._count and number == signal.SIGHUP:
            return
        self._count += 1
        if self._count <= MAX_INTERRUPTS:
            raise KeyboardInterrupt


def ignore_hangup() -> None:
    """Keep running when the terminal closes, if ``Interrupts`` handles SIGHUP in this process."""
    if isinstance(getattr(signal.getsignal(signal.SIGHUP), "__self__", None), Interrupts):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
