"""What belongs to no living cluster, as text: for a dry run, before a question, and when it is gone."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from dask_bake.clusters.orphans import Reaping
from dask_bake.launch.pricing import dollars
from dask_bake.models.resources import Kind, Piece
from dask_bake.view.images import INDENT, age_text, grid

Costs = Mapping[str, float | None]
"""Dollars an hour, by the id of the piece; nothing where nothing costs."""
NAME = 2


def reap_view(found: Reaping, costs: Costs, now: datetime) -> RenderableType:
    """Each launch's pieces with age and cost, and what is left alone."""
    parts: list[RenderableType] = []
    for each in found.remains:
        silent = f"{each.cluster}  {each.region}, silent for {age_text(now - each.silent_since)}"
        rows = [_row(piece, costs, now) for piece in each.pieces]
        parts += [Text(silent, "bold red"), Padding(_grid(rows), INDENT, expand=False)]
    if found.spared:
        parts.append(Text("left alone", "bold green"))
        rows = [(each.cluster, each.region, each.why) for each in found.spared]
        parts.append(Padding(grid(rows), INDENT, expand=False))
    return Group(*parts, Text(f"{counted(found)} to be removed{_in_all(found, costs)}."))


def counted(found: Reaping) -> str:
    """What goes, counted."""
    counts = Counter(piece.kind for each in found.remains for piece in each.pieces)
    if not counts:
        return "Nothing is"
    what = [f"{counts[kind]} {kind}{'' if counts[kind] == 1 else 's'}" for kind in Kind if counts[kind]]
    return f"{_listed(what)} {'is' if counts.total() == 1 else 'are'}"


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _grid(rows: Sequence[Sequence[str]]) -> Table:
    """Of its columns the name alone may need more than one line."""
    table = Table.grid(padding=(0, 2))
    for column in range(5):
        table.add_column(
            no_wrap=column != NAME, overflow="fold", justify="right" if column > NAME else "left"
        )
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _row(piece: Piece, costs: Costs, now: datetime) -> tuple[str, ...]:
    age = "?" if piece.born is None else age_text(now - piece.born)
    what = " ".join(filter(None, (piece.type, f"{piece.size} GiB" if piece.size else "", piece.name)))
    plain = (str(piece.kind), piece.id, what, age)
    return (*plain, _cost(costs[piece.id])) if piece.id in costs else (*plain, "")


def _cost(cost: float | None) -> str:
    return "?" if cost is None else f"{dollars(cost)}/h"


def _in_all(found: Reaping, costs: Costs) -> str:
    told = [costs.get(piece.id) for each in found.remains for piece in each.pieces]
    known = [cost for cost in told if cost is not None]
    if not known:
        return ""
    unknown = sum(piece.id in costs for each in found.remains for piece in each.pieces) > len(known)
    return f", {dollars(sum(known))} an hour{' and what is unknown' if unknown else ''}"
