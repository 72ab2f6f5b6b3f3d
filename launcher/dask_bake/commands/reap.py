"""``dask-bake reap``: what belongs to no living cluster shown, and removed when that is asked for."""

import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime

import click

from dask_bake.clusters import reap
from dask_bake.clusters.cluster_file import ClusterFile
from dask_bake.clusters.orphans import Reaping, left_by
from dask_bake.ec2.prices import PATIENCE, PriceList
from dask_bake.ec2.resources import Ec2Leftovers, connect_leftovers
from dask_bake.errors import LeftoverError, UsageError
from dask_bake.events import Note
from dask_bake.hints import in_region, own_command
from dask_bake.launch.pricing import HOURS_OF_A_MONTH
from dask_bake.models.cloud import Cloud
from dask_bake.models.resources import Kind, Piece
from dask_bake.system.concurrency import Asking
from dask_bake.view import clusters
from dask_bake.view.reap import Costs, counted, reap_view
from dask_bake.view.reap_documents import reap_document
from dask_bake.view.terminal import Terminal


def check_asking(*, asks: bool) -> None:
    """Raises where somebody would have to be asked, and nobody can be."""
    if asks and not sys.stdin.isatty():
        raise UsageError(
            "this removes what it finds for good, and there is no terminal to ask at",
            hint="--yes removes it, --dry-run shows what would be removed",
        )


def run(
    cloud: Cloud,
    terminal: Terminal,
    *,
    file: ClusterFile | None = None,
    all_regions: bool,
    dry_run: bool,
    asks: bool,
    json_output: bool,
) -> int:
    """Shows what is left over, of the file's launch alone if there is one, and removes it after asking."""
    now, edge = datetime.now(UTC), connect_leftovers(cloud, terminal.notify)
    here = edge(cloud.region)
    regions = here.regions() if all_regions else (cloud.region,)
    edges = {each: here if each == cloud.region else edge(each) for each in regions}
    seen = reap.look(edges, now)
    if len(edges) == len(seen.unseen):
        raise next(iter(seen.unseen.values()))
    for region, error in seen.unseen.items():
        terminal.notify(Note(f"{region} could not be looked at: {error.message}"))
    found = seen.reaping if file is None else left_by(seen.reaping, file.name, file.launch_id)
    costs = {} if cloud.is_free else costs_of(found, edges)
    if found and asks and not dry_run:
        terminal.err.print(reap_view(found, costs, now))
        if not click.confirm("Remove?", err=True):
            terminal.err.print("Nothing was removed.")
            return 0
    removes = bool(found) and not dry_run
    if removes:
        with terminal.working():
            reap.remove(
                found,
                edges,
                notify=terminal.notify,
                clock=time.monotonic,
                sleep=time.sleep,
                flags=cloud.flags,
            )
    if json_output:
        unseen = {region: error.message for region, error in seen.unseen.items()}
        terminal.write_json(
            clusters.as_json(reap_document(found, costs, now, unseen=unseen, removed=removes))
        )
    elif removes:
        terminal.out.print(f"{counted(found)} gone.", soft_wrap=True)
    else:
        terminal.out.print(reap_view(found, costs, now))
    if seen.unseen:
        raise LeftoverError(
            f"not all regions could be looked at; something may be left in {', '.join(seen.unseen)}",
            hint=own_command("reap", flags=in_region(cloud.flags, next(iter(seen.unseen)))),
        )
    return 0


def show_nothing(terminal: Terminal, *, json_output: bool) -> int:
    """Says that there is nothing, where there is no cloud."""
    now = datetime.now(UTC)
    if json_output:
        terminal.write_json(clusters.as_json(reap_document(Reaping(), {}, now, unseen={}, removed=False)))
    else:
        terminal.out.print(reap_view(Reaping(), {}, now))
    return 0


def costs_of(found: Reaping, edges: Mapping[str, Ec2Leftovers]) -> Costs:
    """What each instance and volume costs an hour, as far as AWS says that within some seconds."""
    deadline = time.monotonic() + PATIENCE
    asked: dict[tuple[str, Piece], tuple[str, Kind, str, bool]] = {}
    askings: dict[tuple[str, Kind, str, bool], Asking] = {}
    for each in found.remains:
        for piece in each.pieces:
            if piece.kind in (Kind.INSTANCE, Kind.VOLUME):
                question = (each.region, piece.kind, piece.type, piece.is_spot)
                asked[each.region, piece] = question
                if question not in askings:
                    askings[question] = _ask(edges[each.region].prices, piece)
    prices = {
        question: asking.within(max(0.0, deadline - time.monotonic())) for question, asking in askings.items()
    }
    return {piece.id: _cost(piece, prices[question]) for (_, piece), question in asked.items()}


def _ask(prices: PriceList | None, piece: Piece) -> Asking:
    # What a spot instance costs is another question for each zone and hour.
    if prices is None or piece.is_spot:
        return Asking(lambda: None)
    if piece.kind is Kind.VOLUME:
        return Asking(lambda: prices.disk(piece.type))
    return Asking(lambda: prices.instance(piece.type))


def _cost(piece: Piece, price: float | None) -> float | None:
    if price is None or piece.kind is Kind.INSTANCE:
        return price
    return price * piece.size / HOURS_OF_A_MONTH
