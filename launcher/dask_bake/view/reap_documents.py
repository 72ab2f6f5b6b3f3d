"""What belongs to no living cluster as plain data, for ``--json``."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from dask_bake.clusters.orphans import Reaping
from dask_bake.models.resources import Piece


def reap_document(
    found: Reaping,
    costs: Mapping[str, float | None],
    now: datetime,
    *,
    unseen: Mapping[str, str],
    removed: bool,
) -> dict[str, Any]:
    """What was found, and whether it was removed; null is what is not known."""
    return {
        "removed": removed,
        "leftovers": [
            {
                "region": each.region,
                "cluster": each.cluster,
                "launch_id": each.launch_id,
                "silent_seconds": int((now - each.silent_since).total_seconds()),
                "pieces": [_piece(piece, costs, now) for piece in each.pieces],
            }
            for each in found.remains
        ],
        "left_alone": [
            {"region": each.region, "cluster": each.cluster, "why": each.why} for each in found.spared
        ],
        "regions_not_seen": dict(unseen),
    }


def _piece(piece: Piece, costs: Mapping[str, float | None], now: datetime) -> dict[str, Any]:
    return {
        "kind": str(piece.kind),
        "id": piece.id,
        "name": piece.name or None,
        "type": piece.type or None,
        "age_seconds": None if piece.born is None else int((now - piece.born).total_seconds()),
        "cost_an_hour": costs.get(piece.id),
    }
