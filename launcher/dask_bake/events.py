"""What may happen while a command works: frozen facts, handed to ``notify`` and shown by the view."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from dask_bake.models.cluster import Cluster


@dataclass(frozen=True)
class Note:
    """Something that a user wants to know once: which cloud was chosen, what is being skipped."""

    text: str


@dataclass(frozen=True)
class PhaseStarted:
    """A phase of a bake or a launch began; ``phase`` is the word shown."""

    phase: str


@dataclass(frozen=True)
class PhaseEnded:
    """A phase ended after so many seconds."""

    phase: str
    seconds: float


@dataclass(frozen=True)
class Output:
    """A line that Packer, a script or a node's console printed."""

    line: str


@dataclass(frozen=True)
class Called:
    """An EC2 call was made: the operation's name."""

    operation: str


@dataclass(frozen=True)
class ClusterSeen:
    """The cluster as it looks now; ``registered`` counts worker processes per private address."""

    cluster: Cluster
    registered: tuple[tuple[str, int], ...] = ()


Event = Note | PhaseStarted | PhaseEnded | Output | Called | ClusterSeen
Notify = Callable[[Event], None]


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
