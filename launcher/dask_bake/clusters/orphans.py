"""What belongs to no living cluster, decided from all that is tagged: it goes; what may be young stays."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from dask_bake.clusters.inventory import OF_A_BAKE
from dask_bake.models.resources import QUIET, Kind, Piece

BAKING = timedelta(hours=6)
"""How old an instance of a bake may be: each step ends within an hour, unless ``--timeout`` says more."""
PROOF = "-proof"


@dataclass(frozen=True)
class Remains:
    """What is left of one launch, or of one bake; ``silent_since`` is when it last did something."""

    region: str
    cluster: str
    launch_id: str
    silent_since: datetime
    pieces: tuple[Piece, ...]


@dataclass(frozen=True)
class Spared:
    """A launch without a head that is left alone, and why."""

    region: str
    cluster: str
    why: str


@dataclass(frozen=True)
class Reaping:
    """What is to go, and what stays though it has no head."""

    remains: tuple[Remains, ...] = ()
    spared: tuple[Spared, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.remains)


def plan_reaping(region: str, pieces: Iterable[Piece], now: datetime) -> Reaping:
    """What of a region's pieces belongs to no living cluster.

    A launch is judged by itself: another one that has taken its cluster's name does not keep what it left.
    """
    ours = [piece for piece in pieces if piece.is_ours]
    remains: list[Remains] = []
    spared: list[Spared] = []
    for cluster, launch_id in sorted({(piece.cluster, piece.launch_id) for piece in ours}):
        own = [piece for piece in ours if (piece.cluster, piece.launch_id) == (cluster, launch_id)]
        left = tuple(sorted((piece for piece in own if piece.is_there), key=_order))
        kin = [piece for piece in ours if _bake(piece.cluster) == _bake(cluster)] if _bake(cluster) else own
        if not left or _is_alive(kin, now):
            continue
        match _silent_since(kin):
            case None:
                spared.append(Spared(region, cluster, "nothing tells its age"))
            case since if now - since < QUIET:
                spared.append(Spared(region, cluster, "it may be starting, or ending, just now"))
            case since:
                remains.append(Remains(region, cluster, launch_id, since, left))
    return Reaping(tuple(remains), tuple(spared))


def left_by(found: Reaping, cluster: str, launch_id: str | None) -> Reaping:
    """Of it, what one launch left; without its id, what any launch of that cluster's name did."""
    return Reaping(
        tuple(
            each for each in found.remains if each.cluster == cluster and launch_id in (None, each.launch_id)
        ),
        tuple(each for each in found.spared if each.cluster == cluster),
    )


def together(reapings: Sequence[Reaping]) -> Reaping:
    """All of them as one."""
    return Reaping(
        tuple(each for one in reapings for each in one.remains),
        tuple(each for one in reapings for each in one.spared),
    )


def _is_alive(pieces: Sequence[Piece], now: datetime) -> bool:
    instances = [piece for piece in pieces if piece.kind is Kind.INSTANCE and piece.is_there]
    if any(_bake(piece.cluster) for piece in pieces):
        return any(piece.born is not None and now - piece.born < BAKING for piece in instances)
    return any(piece.is_head for piece in instances)


def _silent_since(pieces: Sequence[Piece]) -> datetime | None:
    return max((sign for piece in pieces for sign in piece.signs), default=None)


def _bake(cluster: str) -> str:
    """The bake that the name is of, which is also its proof's; empty for a cluster of somebody's."""
    return cluster.removesuffix(PROOF) if OF_A_BAKE.fullmatch(cluster) else ""


def _order(piece: Piece) -> tuple[int, bool, str, str]:
    return list(Kind).index(piece.kind), not piece.is_head, piece.name, piece.id
