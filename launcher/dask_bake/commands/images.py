"""``dask-bake images``: the images that there are, listed, shown, compared, pruned, copied, shared."""

import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import click

from dask_bake.ec2.images import Ec2Images, connect_images
from dask_bake.errors import UsageError
from dask_bake.events import Note
from dask_bake.images import catalog
from dask_bake.images import copy as image_copy
from dask_bake.images.copy_plan import check_regions, plan_copy
from dask_bake.images.differences import differences
from dask_bake.images.facts import choose, require_manifest
from dask_bake.images.prune import PrunePlan, check_keep, plan_removal
from dask_bake.images.share import plan_share
from dask_bake.models.cloud import Cloud
from dask_bake.view import clusters, image_json, image_plans
from dask_bake.view import images as view_images
from dask_bake.view.terminal import Terminal


def list_all(cloud: Cloud, terminal: Terminal, *, json_output: bool) -> int:
    """Shows every image."""
    facts, now = catalog.look_up(connect_images(cloud, terminal.notify)), _now()
    if json_output:
        _write(terminal, [image_json.image_document(each, now) for each in facts])
    else:
        terminal.out.print(view_images.images_table(facts, now))
    return 0


def show(cloud: Cloud, terminal: Terminal, *, reference: str | None, json_output: bool) -> int:
    """Shows one image, and all that is in it."""
    edge = connect_images(cloud, terminal.notify)
    facts = choose(catalog.look_up(edge), reference)
    settings, now = edge.settings_of(facts.image.id), _now()
    if json_output:
        _write(terminal, image_json.whole_document(facts, settings, now))
    else:
        terminal.out.print(view_images.image_view(facts, settings, now))
    return 0


def diff(cloud: Cloud, terminal: Terminal, *, before: str, after: str, json_output: bool) -> int:
    """Shows what differs from one image to another."""
    facts = catalog.look_up(connect_images(cloud, terminal.notify))
    one, other = choose(facts, before), choose(facts, after)
    found = differences(require_manifest(one), require_manifest(other))
    if json_output:
        _write(terminal, image_json.differences_document(one.image, other.image, found))
    else:
        terminal.out.print(view_images.diff_view(one.image, other.image, found))
    return 0


def sbom(cloud: Cloud, terminal: Terminal, *, reference: str | None) -> int:
    """Writes what is in an image as a CycloneDX document."""
    from dask_bake.images.sbom import render_sbom

    facts = choose(catalog.look_up(connect_images(cloud, terminal.notify)), reference)
    known = require_manifest(facts)
    if not known.has_hashes:
        terminal.notify(
            Note("The last packages' hashes had no room in the tags: the image's own manifest has them.")
        )
    terminal.write_json(render_sbom(facts.image, known))
    return 0


def check_prune(*, keep: int, asks: bool) -> None:
    """What is wrong with the request is said before anything is looked at."""
    check_keep(keep)
    check_asking(asks=asks)


def check_asking(*, asks: bool) -> None:
    """Raises where somebody would have to be asked, and nobody can be."""
    if asks and not sys.stdin.isatty():
        raise UsageError(
            "this removes images for good, and there is no terminal to ask at",
            hint="--yes removes them, --dry-run shows what would be removed",
        )


def prune(
    cloud: Cloud, terminal: Terminal, *, keep: int, dry_run: bool, asks: bool, json_output: bool
) -> int:
    """Removes all images but the newest, after showing which."""
    edge, now = connect_images(cloud, terminal.notify), _now()
    plan = catalog.look_up_prune(edge, keep=keep, now=now)
    return _remove(plan, edge, terminal, now, dry_run=dry_run, asks=asks, json_output=json_output)


def remove(
    cloud: Cloud,
    terminal: Terminal,
    *,
    references: Sequence[str],
    dry_run: bool,
    asks: bool,
    json_output: bool,
) -> int:
    """Removes these images, unless one is in use."""
    edge = connect_images(cloud, terminal.notify)
    facts = catalog.look_up(edge)
    plan = plan_removal([choose(facts, reference) for reference in references])
    return _remove(plan, edge, terminal, _now(), dry_run=dry_run, asks=asks, json_output=json_output)


def _remove(
    plan: PrunePlan,
    edge: Ec2Images,
    terminal: Terminal,
    now: datetime,
    *,
    dry_run: bool,
    asks: bool,
    json_output: bool,
) -> int:
    shown = image_plans.prune_view(plan, now)
    if plan and asks and not dry_run:
        terminal.err.print(shown)
        if not click.confirm("Remove?", err=True):
            terminal.err.print("Nothing was removed.")
            return 0
    removed = () if dry_run else catalog.prune(plan, edge, notify=terminal.notify)
    if json_output:
        _write(terminal, image_json.prune_document(plan, removed=None if dry_run else removed))
    elif dry_run or not plan:
        terminal.out.print(shown)
    else:
        for image in removed:
            terminal.out.print(f"{image.id} ({image.name}) is gone, and its snapshot.", soft_wrap=True)
        for snapshot in plan.loose:
            terminal.out.print(f"{snapshot.id} is gone.")
    return 0


def copy(
    cloud: Cloud,
    terminal: Terminal,
    *,
    reference: str | None,
    regions: Sequence[str],
    dry_run: bool,
    json_output: bool,
) -> int:
    """Copies an image to other regions."""
    edge = connect_images(cloud, terminal.notify)
    facts = choose(catalog.look_up(edge), reference)
    wanted = check_regions(regions, source=cloud.region, known=edge.regions())
    settings = edge.settings_of(facts.image.id)
    edges = {each: connect_images(replace(cloud, region=each), terminal.notify) for each in wanted}
    plans = [
        plan_copy(
            facts,
            settings,
            from_region=cloud.region,
            to_region=region,
            there=edges[region].mine(),
            now=_now(),
        )
        for region in wanted
    ]
    if dry_run:
        copies = None
    else:
        with terminal.working():
            copies = image_copy.copy(
                plans, edges, notify=terminal.notify, clock=time.monotonic, new_token=lambda: uuid4().hex
            )
    if json_output:
        _write(terminal, image_json.copies_document(plans, copies))
    elif copies is None:
        terminal.out.print(image_plans.copies_view(plans))
    else:
        terminal.out.print(image_plans.copied_view(plans, copies))
    return 0


def share(
    cloud: Cloud,
    terminal: Terminal,
    *,
    reference: str | None,
    accounts: Sequence[str],
    stop: bool,
    dry_run: bool,
    json_output: bool,
) -> int:
    """Shares an image with other accounts, or no longer."""
    edge = connect_images(cloud, terminal.notify)
    facts = choose(catalog.look_up(edge), reference)
    shared_with = edge.settings_of(facts.image.id).shared_with
    plan = plan_share(facts.image, accounts, shared_with=shared_with, stop=stop)
    if not dry_run:
        catalog.share(plan, edge)
    if json_output:
        _write(terminal, image_json.share_document(plan, carried_out=not dry_run))
    else:
        terminal.out.print(image_plans.share_view(plan))
    return 0


def _write(terminal: Terminal, document: object) -> None:
    terminal.write_json(clusters.as_json(document))


def _now() -> datetime:
    return datetime.now(UTC)
