"""Views of removals, copies and shares of images: as planned, and as carried out."""

from collections.abc import Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.text import Text

from dask_bake.images.copy_plan import CopyPlan, CopyStep
from dask_bake.images.facts import ImageFacts
from dask_bake.images.prune import PrunePlan
from dask_bake.images.share import SharePlan
from dask_bake.models.ec2 import Image
from dask_bake.view import layout
from dask_bake.view.images import size_text


def prune_view(plan: PrunePlan, now: datetime) -> RenderableType:
    """Return images to remove and images to keep, each with the reason."""
    removed = [(*_image(each.facts, now), each.why) for each in plan.remove]
    removed += [
        (each.id, layout.age_text(now - each.started), layout.bytes_text(each.bytes), "its image was removed")
        for each in plan.loose
    ]
    kept = [(*_image(each.facts, now), each.why) for each in plan.keep]
    parts: list[RenderableType] = []
    for title, rows, style in (("to be removed", removed, "red"), ("to be kept", kept, "green")):
        if rows:
            parts += [Text(title, f"bold {style}"), layout.indented(layout.grid(rows))]
    return Group(*parts, Text(f"{counted(plan)} to be removed."))


def counted(plan: PrunePlan) -> str:
    """Return the number of images and snapshots to remove, as the start of a sentence."""
    if not plan:
        return "Nothing is"
    counts = ((len(plan.remove), "image"), (len(plan.remove) + len(plan.loose), "snapshot"))
    what = " and ".join(layout.counted(count, noun) for count, noun in counts if count)
    verb = "is" if not plan.remove and len(plan.loose) == 1 else "are"
    return f"{what}{f', {layout.bytes_text(plan.bytes)},' if plan.bytes else ''} {verb}"


def copies_view(plans: Sequence[CopyPlan]) -> RenderableType:
    """Return the copy that each region would get, or has already."""
    return layout.grid([(plan.to_region, _step(plan)) for plan in plans])


def copied_view(plans: Sequence[CopyPlan], copies: Sequence[Image]) -> RenderableType:
    """Return each region's copy."""
    results = {CopyStep.COPY: "copied", CopyStep.FINISH: "completed", CopyStep.NOTHING: "existed already"}
    rows = [(plan.to_region, image.id, results[plan.step]) for plan, image in zip(plans, copies, strict=True)]
    return layout.grid(rows)


def share_view(plan: SharePlan) -> RenderableType:
    """Return a line for each account."""
    changed, unchanged = ("no longer shared", "not shared") if plan.stop else ("shared", "already shared")
    rows = [(plan.image.id, f"{changed} with {each}") for each in plan.accounts]
    return layout.grid(
        [*rows, *((plan.image.id, f"{unchanged} with {each}, nothing to do") for each in plan.same)]
    )


def _step(plan: CopyPlan) -> str:
    existing = plan.there.id if plan.there else ""
    return {
        CopyStep.COPY: f"copy {plan.source.id} as {plan.name}, encrypted",
        CopyStep.FINISH: f"complete {existing}, an unfinished copy",
        CopyStep.NOTHING: f"nothing to do, {existing} exists",
    }[plan.step]


def _image(facts: ImageFacts, now: datetime) -> tuple[str, str, str]:
    return facts.image.id, layout.age_text(facts.age(now)), size_text(facts)
