"""What may happen while a command works: frozen facts, handed to ``notify`` and shown by the view."""

from collections.abc import Callable
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
