"""Views of a change of size: the plan, and what was done."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from dask_bake.models.cloud import Market
from dask_bake.models.cluster import Node
from dask_bake.scaling.plan import Direction, ScalePlan
from dask_bake.scaling.scale import ScaleResult
from dask_bake.scaling.template import GrowthPlan
from dask_bake.view import layout
from dask_bake.view.cluster_json import cluster_document


def plan_view(plan: ScalePlan, growth: GrowthPlan | None) -> RenderableType:
    """Return the plan of a change of size: the nodes to start and where, or the nodes to end."""
    lines: list[RenderableType] = [Text(_headline(plan)), *_places(growth)]
    if plan.retire:
        rows = [(f"node {node.index}", node.id, node.private_address) for node in plan.retire]
        lines += [layout.grid(rows), Text("They end once the scheduler has moved what they have.")]
    return Group(*lines, Text("Nothing was changed: this was a dry run.", "bold"))


def plan_document(plan: ScalePlan, growth: GrowthPlan | None) -> dict[str, Any]:
    """Return the plan of a change of size."""
    return {
        "name": plan.cluster.name,
        "cloud": plan.cluster.cloud,
        "region": plan.cluster.region,
        "nodes": plan.there,
        "nodes_wanted": plan.wanted,
        "start": list(plan.added_indices),
        "end": [_node(node) for node in plan.retire],
        "places": [
            {
                "zone": candidate.subnet.zone,
                "subnet": candidate.subnet.id,
                "worker_types": [kind.name for kind in candidate.worker_types],
                "market": str(candidate.market),
            }
            for candidate in (growth.candidates if growth is not None else ())
        ],
    }


def result_document(
    result: ScaleResult, registered: Mapping[str, int] | None, *, seconds: float, calls: Iterable[str]
) -> dict[str, Any]:
    """Return the cluster after a change of its size, with what was started and ended."""
    return {
        **cluster_document(result.cluster, registered),
        "started": list(result.plan.added_indices),
        "ended": [_node(node) for node in result.plan.retire],
        "seconds": round(seconds, 2),
        "calls": list(calls),
    }


def result_text(result: ScaleResult, seconds: float) -> Text:
    """Return what was done, in one line."""
    plan = result.plan
    name, nodes = plan.cluster.name, layout.counted(plan.wanted, "node")
    match plan.direction:
        case Direction.UP:
            return Text(f"{name} has {nodes}: {_named(plan.added_indices)} joined after {seconds:.1f} s.")
        case Direction.DOWN:
            ended = _named(sorted(node.index for node in plan.retire))
            return Text(f"{name} has {nodes}: {ended} left after {seconds:.1f} s, and nothing was lost.")
    return Text(f"{name} has {nodes} already.")


def _headline(plan: ScalePlan) -> str:
    there, wanted = layout.counted(plan.there, "node"), layout.counted(plan.wanted, "node")
    match plan.direction:
        case Direction.UP:
            return (
                f"{plan.cluster.name} has {there}; to have {wanted}, {_named(plan.added_indices)} would start"
            )
        case Direction.DOWN:
            return f"{plan.cluster.name} has {there}; to have {wanted}, those with the least load would end:"
    return f"{plan.cluster.name} has {there} already"


def _places(growth: GrowthPlan | None) -> Iterator[RenderableType]:
    if growth is None:
        return
    yield Text("Tried in this order", "bold")
    for number, candidate in enumerate(growth.candidates, start=1):
        kinds = " or ".join(kind.name for kind in candidate.worker_types)
        market = " on spot" if candidate.market is Market.SPOT else ""
        yield Text(f"{number}. {candidate.subnet.zone}, {candidate.subnet.id}: {kinds}{market}")


def _named(numbers: Sequence[int]) -> str:
    """Return nodes by their numbers: ``node 3``, ``nodes 3 to 6``, ``nodes 3, 5``."""
    found = list(numbers)
    noun = "node" if len(found) == 1 else "nodes"
    if len(found) > 2 and found == list(range(found[0], found[-1] + 1)):
        return f"{noun} {found[0]} to {found[-1]}"
    return f"{noun} {', '.join(map(str, found))}"


def _node(node: Node) -> dict[str, Any]:
    return {"index": node.index, "id": node.id, "private_address": node.private_address}
