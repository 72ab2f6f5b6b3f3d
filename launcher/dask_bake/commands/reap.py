"""``dask-bake reap``: show resources of no living cluster, and remove them."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from dask_bake.clusters import reap
from dask_bake.clusters.cluster_file import ClusterFile
from dask_bake.clusters.orphans import ReapPlan, left_by
from dask_bake.commands.confirm import confirm
from dask_bake.ec2.prices import PRICE_LOOKUP_TIMEOUT, PriceList
from dask_bake.ec2.resources import Ec2Resources, connect_resources
from dask_bake.errors import LeftoverError
from dask_bake.events import Note
from dask_bake.hints import command_line
from dask_bake.launch.pricing import HOURS_OF_A_MONTH
from dask_bake.models.cloud import Cloud
from dask_bake.models.resources import Resource, ResourceKind
from dask_bake.system.concurrency import BackgroundCall
from dask_bake.view.reap import Costs, counted, reap_document, reap_view
from dask_bake.view.terminal import Terminal


@dataclass(frozen=True)
class ReapOptions:
    """Options of ``dask-bake reap``; ``file`` restricts it to the launch that wrote that file."""

    file: ClusterFile | None = None
    all_regions: bool = False
    dry_run: bool = False
    asks: bool = True
    json_output: bool = False


def run(options: ReapOptions, cloud: Cloud, terminal: Terminal) -> int:
    """Show orphaned resources, and remove them once that is confirmed."""
    now, edges = datetime.now(UTC), _edges(cloud, terminal, all_regions=options.all_regions)
    seen = _survey(edges, now, terminal)
    file = options.file
    found = seen.plan if file is None else left_by(seen.plan, file.name, file.launch_id)
    costs = {} if cloud.is_free else costs_of(found, edges)
    removes = bool(found) and not options.dry_run
    if removes and options.asks and not confirm(terminal, reap_view(found, costs, now)):
        return 0
    if removes:
        with terminal.working():
            reap.remove(found, edges, notify=terminal.notify, clock=time.monotonic, sleep=time.sleep)
    if options.json_output:
        unreadable = {region: error.message for region, error in seen.unreadable.items()}
        terminal.write_json(reap_document(found, costs, now, unreadable=unreadable, removed=removes))
    elif removes:
        terminal.out.print(f"{counted(found)} gone.", soft_wrap=True)
    else:
        terminal.out.print(reap_view(found, costs, now))
    _check_seen(seen)
    return 0


def show_nothing(terminal: Terminal, *, json_output: bool) -> int:
    """Show an empty result, for a local cloud that is not running."""
    now = datetime.now(UTC)
    if json_output:
        terminal.write_json(reap_document(ReapPlan(), {}, now, unreadable={}, removed=False))
    else:
        terminal.out.print(reap_view(ReapPlan(), {}, now))
    return 0


def _edges(cloud: Cloud, terminal: Terminal, *, all_regions: bool) -> dict[str, Ec2Resources]:
    """Return a client for each region."""
    edge = connect_resources(cloud, terminal.notify)
    here = edge(cloud.region)
    regions = here.regions() if all_regions else (cloud.region,)
    return {each: here if each == cloud.region else edge(each) for each in regions}


def _survey(edges: Mapping[str, Ec2Resources], now: datetime, terminal: Terminal) -> reap.Survey:
    """Return what was found; raise if no region could be read."""
    seen = reap.survey(edges, now)
    if len(edges) == len(seen.unreadable):
        raise next(iter(seen.unreadable.values()))
    for region, error in seen.unreadable.items():
        terminal.notify(Note(f"{region} could not be read: {error.message}"))
    return seen


def _check_seen(seen: reap.Survey) -> None:
    if seen.unreadable:
        raise LeftoverError(
            f"not all regions could be read; orphaned resources may remain in {', '.join(seen.unreadable)}",
            hint=command_line("reap", region=next(iter(seen.unreadable))),
        )


def costs_of(found: ReapPlan, edges: Mapping[str, Ec2Resources]) -> Costs:
    """Return the cost of each instance and volume an hour, as far as AWS answers before the deadline."""
    deadline = time.monotonic() + PRICE_LOOKUP_TIMEOUT
    keys = {
        resource.id: (each.region, resource.kind, resource.type, resource.is_spot)
        for each in found.orphans
        for resource in each.resources
        if resource.kind in (ResourceKind.INSTANCE, ResourceKind.VOLUME)
    }
    resources = {resource.id: resource for each in found.orphans for resource in each.resources}
    calls = {key: _ask(edges[key[0]].prices, resources[id_]) for id_, key in keys.items()}
    prices = {key: call.result_within(max(0.0, deadline - time.monotonic())) for key, call in calls.items()}
    return {id_: _cost(resources[id_], prices[key]) for id_, key in keys.items()}


def _ask(prices: PriceList | None, resource: Resource) -> BackgroundCall:
    # The price of a spot instance depends on its zone, and changes within hours.
    if prices is None or resource.is_spot:
        return BackgroundCall(lambda: None)
    if resource.kind is ResourceKind.VOLUME:
        return BackgroundCall(lambda: prices.disk(resource.type))
    return BackgroundCall(lambda: prices.instance(resource.type))


def _cost(resource: Resource, price: float | None) -> float | None:
    if price is None or resource.kind is ResourceKind.INSTANCE:
        return price
    return price * resource.size / HOURS_OF_A_MONTH
