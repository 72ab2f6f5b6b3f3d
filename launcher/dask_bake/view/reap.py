"""Views of orphaned resources: as text, and as plain data for ``--json``."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from dask_bake.clusters.orphans import Reaping
from dask_bake.launch.pricing import dollars
from dask_bake.models.resources import Kind, Piece
from dask_bake.view import layout

Costs = Mapping[str, float | None]
"""Dollars an hour by resource ID; ``None`` is an unknown price."""
DESCRIPTION = 2
"""Column of a resource's type, size and name."""


def reap_view(found: Reaping, costs: Costs, now: datetime) -> RenderableType:
    """Return orphaned resources with age and cost, and the clusters that are left alone."""
    parts: list[RenderableType] = []
    for each in found.remains:
        title = f"{each.cluster}  {each.region}, inactive for {layout.age_text(now - each.silent_since)}"
        rows = [_row(piece, costs, now) for piece in each.pieces]
        parts += [
            Text(title, "bold red"),
            layout.indented(layout.grid(rows, wraps=DESCRIPTION, right=DESCRIPTION + 1)),
        ]
    if found.spared:
        parts.append(Text("left alone", "bold green"))
        rows = [(each.cluster, each.region, each.why) for each in found.spared]
        parts.append(layout.indented(layout.grid(rows)))
    return Group(*parts, Text(f"{counted(found)} to be removed{_total_cost(found, costs)}."))


def reap_document(
    found: Reaping,
    costs: Costs,
    now: datetime,
    *,
    unseen: Mapping[str, str],
    removed: bool,
) -> dict[str, Any]:
    """Return what was found, and whether it was removed; unknown values are null."""
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


def counted(found: Reaping) -> str:
    """Return the number of resources of each kind, as the start of a sentence."""
    counts = Counter(piece.kind for each in found.remains for piece in each.pieces)
    if not counts:
        return "Nothing is"
    what = [layout.counted(counts[kind], kind) for kind in Kind if counts[kind]]
    return f"{_listed(what)} {'is' if counts.total() == 1 else 'are'}"


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _row(piece: Piece, costs: Costs, now: datetime) -> tuple[str, ...]:
    age = "?" if piece.born is None else layout.age_text(now - piece.born)
    what = " ".join(filter(None, (piece.type, f"{piece.size} GiB" if piece.size else "", piece.name)))
    plain = (str(piece.kind), piece.id, what, age)
    return (*plain, _cost(costs[piece.id])) if piece.id in costs else (*plain, "")


def _cost(cost: float | None) -> str:
    return "?" if cost is None else f"{dollars(cost)}/h"


def _total_cost(found: Reaping, costs: Costs) -> str:
    prices = [costs.get(piece.id) for each in found.remains for piece in each.pieces]
    known = [cost for cost in prices if cost is not None]
    if not known:
        return ""
    unknown = sum(piece.id in costs for each in found.remains for piece in each.pieces) > len(known)
    return f", {dollars(sum(known))} an hour{' plus unknown costs' if unknown else ''}"


def _piece(piece: Piece, costs: Costs, now: datetime) -> dict[str, Any]:
    return {
        "kind": str(piece.kind),
        "id": piece.id,
        "name": piece.name or None,
        "type": piece.type or None,
        "age_seconds": None if piece.born is None else int((now - piece.born).total_seconds()),
        "cost_an_hour": costs.get(piece.id),
    }
