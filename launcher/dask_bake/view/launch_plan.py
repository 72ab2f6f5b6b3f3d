"""View of a launch plan: placements, EC2 calls, permissions and cost."""

import json
from collections.abc import Iterator, Mapping, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from dask_bake.cloud_init.render import mask_private_keys
from dask_bake.launch.dry_run import Permission, planned_calls
from dask_bake.launch.placement import Candidate
from dask_bake.launch.plan import UNKNOWN_HEAD, LaunchPlan
from dask_bake.launch.pricing import Cost, Item, dollars, in_words
from dask_bake.models.cloud import Market
from dask_bake.view import layout

ANSWERS = {True: ("yes", "green"), False: ("no", "bold red"), None: ("?", "yellow")}


def plan_view(
    plan: LaunchPlan, permissions: Sequence[Permission] = (), cost: Cost | None = None
) -> RenderableType:
    """Return a launch plan: each call with its parameters, and the user-data of each role."""
    parts: list[RenderableType] = [Text(_headline(plan)), Text(), *_candidates(plan), Text()]
    runs: list[int] = []
    for number, call in enumerate(planned_calls(plan), start=1):
        parameters = dict(call.parameters)
        user_data = parameters.pop("UserData", None)
        if call.operation == "RunInstances":
            runs.append(number)
        parts += [Text(f"{number}. {call.operation}", "bold cyan"), _parameters(parameters)]
        if user_data is not None:
            shown = mask_private_keys(user_data).rstrip()
            parts += [Text("UserData", "bold"), Text(shown, "green", no_wrap=True, overflow="ignore")]
        parts.append(Text())
    parts += [
        Text(f"{UNKNOWN_HEAD} stands for the head's address, which EC2 returns for call {runs[0]}."),
        *_permissions(permissions),
        *_cost(cost),
        Text("Nothing was started: this was a dry run.", "bold"),
    ]
    return Group(*parts)


def _headline(plan: LaunchPlan) -> str:
    candidate = plan.first
    kind = candidate.worker_types[0]
    used, market = plan.worker_layout(kind), " on spot" if candidate.market is Market.SPOT else ""
    processes = layout.counted(used.nprocs, "process", "processes")
    work = (
        f" of {processes} with {layout.counted(used.nthreads, 'thread')} each"
        if plan.options.runs_dask
        else ""
    )
    return (
        f"{plan.options.name}: 1 head node ({candidate.head_types[0].name}) and"
        f" {layout.counted(plan.options.count - 1, 'worker node')}"
        f" ({kind.name}{market}){work}, in {candidate.subnet.zone}"
    )


def _candidates(plan: LaunchPlan) -> Iterator[RenderableType]:
    yield Text("Tried in this order", "bold")
    for number, candidate in enumerate(plan.candidates, start=1):
        yield Text(f"{number}. {_candidate(candidate)}")


def _candidate(candidate: Candidate) -> str:
    heads, workers = (
        " or ".join(kind.name for kind in kinds) for kinds in (candidate.head_types, candidate.worker_types)
    )
    market = " on spot" if candidate.market is Market.SPOT else ""
    return f"{candidate.subnet.zone}, {candidate.subnet.id}: head {heads}, workers {workers}{market}"


def _permissions(permissions: Sequence[Permission]) -> Iterator[RenderableType]:
    if not permissions:
        return
    rows = [(each.operation, each.what, Text(*ANSWERS[each.allowed]), each.why) for each in permissions]
    yield from (Text(), Text("Permissions, as reported by EC2", "bold"), layout.grid(rows))


def _cost(cost: Cost | None) -> Iterator[RenderableType]:
    if cost is None:
        return
    rows = [(item.what, f"{item.count} ×", _each(item)) for item in cost.items]  # noqa: RUF001 - a sign
    yield from (Text(), Text(f"Cost: {in_words(cost)}", "bold"))
    if rows:
        yield layout.grid(rows)
    yield Text()


def _each(item: Item) -> str:
    return "unknown" if item.each is None else f"{dollars(item.each)} an hour"


def _parameters(parameters: Mapping[str, object]) -> Table:
    return layout.pairs([(key, _compact(value)) for key, value in parameters.items()])


def _compact(value: object) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(_tags_as_mapping(value), ensure_ascii=False, default=_as_text)


def _as_text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _tags_as_mapping(value: object) -> object:
    if isinstance(value, list):
        if value and all(isinstance(each, dict) and each.keys() == {"Key", "Value"} for each in value):
            return {each["Key"]: each["Value"] for each in value}
        return [_tags_as_mapping(each) for each in value]
    if isinstance(value, dict):
        return {key: _tags_as_mapping(each) for key, each in value.items()}
    return value
