"""``dask-bake images``: list, show, compare, prune, remove, copy and share images; print an SBOM."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from uuid import uuid4

from dask_bake.commands.confirm import check_can_ask, confirm
from dask_bake.ec2.images import Ec2Images, connect_images
from dask_bake.events import Note
from dask_bake.images import catalog
from dask_bake.images import copy as image_copy
from dask_bake.images import prune as image_prune
from dask_bake.images import share as image_share
from dask_bake.images.copy_plan import CopyPlan, check_regions, plan_copy
from dask_bake.images.differences import differences
from dask_bake.images.facts import choose, require_manifest
from dask_bake.images.prune import PrunePlan, check_keep, look_up_prune, plan_removal
from dask_bake.images.share import plan_share
from dask_bake.models.cloud import Cloud
from dask_bake.models.ec2 import Image
from dask_bake.view import image_json, image_plans, images
from dask_bake.view.terminal import Terminal


def list_all(cloud: Cloud, terminal: Terminal, *, json_output: bool) -> int:
    """Show all images of the region."""
    facts, now = catalog.look_up(connect_images(cloud, terminal.notify)), _now()
    if json_output:
        terminal.write_json([image_json.image_document(each, now) for each in facts])
    else:
        terminal.out.print(images.images_table(facts, now))
    return 0


def show(cloud: Cloud, terminal: Terminal, *, reference: str | None, json_output: bool) -> int:
    """Show one image, with its inputs, files and packages."""
    edge = connect_images(cloud, terminal.notify)
    facts = choose(catalog.look_up(edge), reference)
    settings, now = edge.settings_of(facts.image.id), _now()
    if json_output:
        terminal.write_json(image_json.whole_document(facts, settings, now))
    else:
        terminal.out.print(images.image_view(facts, settings, now))
    return 0


def diff(cloud: Cloud, terminal: Terminal, *, before: str, after: str, json_output: bool) -> int:
    """Show the differences between two images."""
    facts = catalog.look_up(connect_images(cloud, terminal.notify))
    one, other = choose(facts, before), choose(facts, after)
    found = differences(require_manifest(one), require_manifest(other))
    if json_output:
        terminal.write_json(image_json.differences_document(one.image, other.image, found))
    else:
        terminal.out.print(images.diff_view(one.image, other.image, found))
    return 0


def sbom(cloud: Cloud, terminal: Terminal, *, reference: str | None) -> int:
    """Print the contents of an image as a CycloneDX document."""
    from dask_bake.images.sbom import render_sbom

    facts = choose(catalog.look_up(connect_images(cloud, terminal.notify)), reference)
    known = require_manifest(facts)
    if not known.has_hashes:
        terminal.notify(
            Note("The tags are too small for all hashes; /etc/dask-bake/manifest.json on the nodes has them.")
        )
    terminal.write(render_sbom(facts.image, known))
    return 0


def check_prune(*, keep: int, asks: bool) -> None:
    """Raise if the options of ``prune`` are invalid, before any request to EC2."""
    check_keep(keep)
    check_can_ask(asks=asks)


def prune(
    cloud: Cloud, terminal: Terminal, *, keep: int, dry_run: bool, asks: bool, json_output: bool
) -> int:
    """Remove all but the newest images, once that is confirmed."""
    edge, now = connect_images(cloud, terminal.notify), _now()
    plan = look_up_prune(edge, keep=keep, now=now)
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
    """Remove these images once that is confirmed, unless one is in use."""
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
    if plan and asks and not dry_run and not confirm(terminal, shown):
        return 0
    removed = () if dry_run else image_prune.prune(plan, edge, notify=terminal.notify)
    if json_output:
        terminal.write_json(image_json.prune_document(plan, removed=None if dry_run else removed))
    elif dry_run or not plan:
        terminal.out.print(shown)
    else:
        for image in removed:
            terminal.out.print(f"{image.id} ({image.name}) and its snapshot were removed.", soft_wrap=True)
        for snapshot in plan.loose:
            terminal.out.print(f"{snapshot.id} was removed.")
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
    """Copy an image to other regions."""
    edge = connect_images(cloud, terminal.notify)
    facts = choose(catalog.look_up(edge), reference)
    wanted = check_regions(regions, source=cloud.region, known=edge.regions())
    settings = edge.settings_of(facts.image.id)
    edges = {each: connect_images(replace(cloud, region=each), terminal.notify) for each in wanted}
    plan = partial(plan_copy, facts, settings, from_region=cloud.region, now=_now())
    plans = [plan(to_region=region, there=edges[region].mine()) for region in wanted]
    copies = None if dry_run else _carry_out(plans, edges, terminal)
    if json_output:
        terminal.write_json(image_json.copies_document(plans, copies))
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
    """Share an image with other accounts, or stop sharing it."""
    edge = connect_images(cloud, terminal.notify)
    facts = choose(catalog.look_up(edge), reference)
    shared_with = edge.settings_of(facts.image.id).shared_with
    plan = plan_share(facts.image, accounts, shared_with=shared_with, stop=stop)
    if not dry_run:
        image_share.share(plan, edge)
    if json_output:
        terminal.write_json(image_json.share_document(plan, carried_out=not dry_run))
    else:
        terminal.out.print(image_plans.share_view(plan))
    return 0


def _carry_out(
    plans: Sequence[CopyPlan], edges: Mapping[str, Ec2Images], terminal: Terminal
) -> tuple[Image, ...]:
    with terminal.working():
        return image_copy.copy(
            plans, edges, notify=terminal.notify, clock=time.monotonic, new_token=lambda: uuid4().hex
        )


def _now() -> datetime:
    return datetime.now(UTC)
