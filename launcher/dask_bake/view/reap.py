"""Views of orphaned resources: as text, and as plain data for ``--json``."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from dask_bake.clusters.orphans import ReapPlan
from dask_bake.launch.pricing import dollars
from dask_bake.models.resources import Resource, ResourceKind
from dask_bake.view import layout

Costs = Mapping[str, float | None]
"""Dollars an hour by resource ID; ``None`` is an unknown price."""
DESCRIPTION = 2
"""Column of a resource's type, size and name."""


def reap_view(found: ReapPlan, costs: Costs, now: datetime) -> RenderableType:
    """Return orphaned resources with age and cost, and the clusters that are left alone."""
    parts: list[RenderableType] = []
    for each in found.orphans:
        title = f"{each.cluster}  {each.region}, inactive for {layout.age_text(now - each.silent_since)}"
        rows = [_row(resource, costs, now) for resource in each.resources]
        parts += [
            Text(title, "bold red"),
            layout.indented(layout.grid(rows, wraps=DESCRIPTION, right=DESCRIPTION + 1)),
        ]
    if found.skipped:
        parts.append(Text("left alone", "bold green"))
        rows = [(each.cluster, each.region, each.why) for each in found.skipped]
        parts.append(layout.indented(layout.grid(rows)))
    return Group(*parts, Text(f"{counted(found)} to be removed{_total_cost(found, costs)}."))


def reap_document(
    found: ReapPlan,
    costs: Costs,
    now: datetime,
    *,
    unreadable: Mapping[str, str],
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
                "pieces": [_resource(resource, costs, now) for resource in each.resources],
            }
            for each in found.orphans
        ],
        "left_alone": [
            {"region": each.region, "cluster": each.cluster, "why": each.why} for each in found.skipped
        ],
        "regions_not_seen": dict(unreadable),
    }


def counted(found: ReapPlan) -> str:
    """Return the number of resources of each kind, as the start of a sentence."""
    counts = Counter(resource.kind for each in found.orphans for resource in each.resources)
    if not counts:
        return "Nothing is"
    what = [layout.counted(counts[kind], kind) for kind in ResourceKind if counts[kind]]
    return f"{_listed(what)} {'is' if counts.total() == 1 else 'are'}"


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _row(resource: Resource, costs: Costs, now: datetime) -> tuple[str, ...]:
    age = "?" if resource.created is None else layout.age_text(now - resource.created)
    what = " ".join(
        filter(None, (resource.type, f"{resource.size} GiB" if resource.size else "", resource.name))
    )
    plain = (str(resource.kind), resource.id, what, age)
    return (*plain, _cost(costs[resource.id])) if resource.id in costs else (*plain, "")


def _cost(cost: float | None) -> str:
    return "?" if cost is None else f"{dollars(cost)}/h"


def _total_cost(found: ReapPlan, costs: Costs) -> str:
    prices = [costs.get(resource.id) for each in found.orphans for resource in each.resources]
    known = [cost for cost in prices if cost is not None]
    if not known:
        return ""
    unknown = sum(resource.id in costs for each in found.orphans for resource in each.resources) > len(known)
    return f", {dollars(sum(known))} an hour{' plus unknown costs' if unknown else ''}"


def _resource(resource: Resource, costs: Costs, now: datetime) -> dict[str, Any]:
    return {
        "kind": str(resource.kind),
        "id": resource.id,
        "name": resource.name or None,
        "type": resource.type or None,
        "age_seconds": None if resource.created is None else int((now - resource.created).total_seconds()),
        "cost_an_hour": costs.get(resource.id),
    }
