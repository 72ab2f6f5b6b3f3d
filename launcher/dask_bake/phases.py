"""One phase at a time, and how long each took."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dask_bake.events import Notify, PhaseEnded, PhaseStarted


@contextmanager
def phase_of(phase: str, notify: Notify, clock: Callable[[], float]) -> Iterator[None]:
    """While this lasts, the phase goes on; one that fails has no end."""
    start = clock()
    notify(PhaseStarted(phase))
    yield
    notify(PhaseEnded(phase, clock() - start))


class Phases:
    """Says when a phase begins and ends; to enter one is to leave the one before."""

    def __init__(self, notify: Notify, clock: Callable[[], float]) -> None:
        self._notify = notify
        self._clock = clock
        self._phase: str | None = None
        self._since = 0.0

    def enter(self, phase: str) -> None:
        """The phase has begun, if it had not."""
        if phase != self._phase:
            self.leave()
            self._phase, self._since = phase, self._clock()
            self._notify(PhaseStarted(phase))

    def leave(self) -> None:
        """No phase goes on."""
        if self._phase is not None:
            self._notify(PhaseEnded(self._phase, self._clock() - self._since))
            self._phase = None
