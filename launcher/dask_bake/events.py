"""Progress events of a command, passed to ``notify`` and shown by the view; and the phase in progress."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from dask_bake.models.cluster import Cluster


@dataclass(frozen=True)
class Note:
    """A message for the user, such as which cloud was chosen."""

    text: str


@dataclass(frozen=True)
class PhaseStarted:
    """The start of a phase of a bake or a launch; ``phase`` is the word shown."""

    phase: str


@dataclass(frozen=True)
class PhaseEnded:
    """The end of a phase, after so many seconds."""

    phase: str
    seconds: float


@dataclass(frozen=True)
class Output:
    """A line of output from Packer, a script or a node's console."""

    line: str


@dataclass(frozen=True)
class Called:
    """A call of an AWS operation."""

    operation: str


@dataclass(frozen=True)
class ClusterSeen:
    """The cluster as it is now; ``registered`` counts worker processes per private address."""

    cluster: Cluster
    registered: tuple[tuple[str, int], ...] = ()


Event = Note | PhaseStarted | PhaseEnded | Output | Called | ClusterSeen
Notify = Callable[[Event], None]


def ignore(_: Event) -> None:
    """Discard an event, because nothing displays it."""


@contextmanager
def phase_of(phase: str, notify: Notify, clock: Callable[[], float]) -> Iterator[None]:
    """Run a phase; one that fails has no end event."""
    start = clock()
    notify(PhaseStarted(phase))
    yield
    notify(PhaseEnded(phase, clock() - start))


class Phases:
    """Sends the events of consecutive phases: entering one leaves the one before."""

    def __init__(self, notify: Notify, clock: Callable[[], float]) -> None:
        self._notify = notify
        self._clock = clock
        self._phase: str | None = None
        self._since = 0.0

    def enter(self, phase: str) -> None:
        """Enter the phase, unless it is the one in progress."""
        if phase != self._phase:
            self.leave()
            self._phase, self._since = phase, self._clock()
            self._notify(PhaseStarted(phase))

    def leave(self) -> None:
        """Leave the phase in progress, if there is one."""
        if self._phase is not None:
            self._notify(PhaseEnded(self._phase, self._clock() - self._since))
            self._phase = None
