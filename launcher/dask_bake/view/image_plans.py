"""What is to be done with images, as text: for a dry run, before a question, and when it is done."""

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
    """What goes, and what stays, each with its reason."""
    going = [(*_image(each.facts, now), each.why) for each in plan.remove]
    going += [
        (each.id, layout.age_text(now - each.started), layout.bytes_text(each.bytes), "its image is gone")
        for each in plan.loose
    ]
    staying = [(*_image(each.facts, now), each.why) for each in plan.keep]
    parts: list[RenderableType] = []
    for title, rows, style in (("to be removed", going, "red"), ("to be kept", staying, "green")):
        if rows:
            parts += [Text(title, f"bold {style}"), layout.indented(layout.grid(rows))]
    return Group(*parts, Text(f"{counted(plan)} to be removed."))


def counted(plan: PrunePlan) -> str:
    """What goes, counted."""
    if not plan:
        return "Nothing is"
    counts = ((len(plan.remove), "image"), (len(plan.remove) + len(plan.loose), "snapshot"))
    what = " and ".join(f"{count} {word}{'' if count == 1 else 's'}" for count, word in counts if count)
    verb = "is" if not plan.remove and len(plan.loose) == 1 else "are"
    return f"{what}{f', {layout.bytes_text(plan.bytes)},' if plan.bytes else ''} {verb}"


def copies_view(plans: Sequence[CopyPlan]) -> RenderableType:
    """What would be copied, and what is there already."""
    return layout.grid([(plan.to_region, _step(plan)) for plan in plans])


def copied_view(plans: Sequence[CopyPlan], copies: Sequence[Image]) -> RenderableType:
    """What is in which region now."""
    said = {CopyStep.COPY: "copied", CopyStep.FINISH: "finished", CopyStep.NOTHING: "was there"}
    rows = [(plan.to_region, image.id, said[plan.step]) for plan, image in zip(plans, copies, strict=True)]
    return layout.grid(rows)


def share_view(plan: SharePlan) -> RenderableType:
    """For which accounts something changes."""
    changes, stays = ("no longer shared", "not shared before") if plan.stop else ("shared", "shared before")
    rows = [(plan.image.id, f"{changes} with {each}") for each in plan.accounts]
    return layout.grid(
        [*rows, *((plan.image.id, f"{stays} with {each}: nothing to do") for each in plan.same)]
    )


def _step(plan: CopyPlan) -> str:
    there = plan.there.id if plan.there else ""
    return {
        CopyStep.COPY: f"copy {plan.source.id} as {plan.name}, encrypted",
        CopyStep.FINISH: f"finish {there}, a copy that was begun",
        CopyStep.NOTHING: f"nothing: {there} is there",
    }[plan.step]


def _image(facts: ImageFacts, now: datetime) -> tuple[str, str, str]:
    return facts.image.id, layout.age_text(facts.age(now)), size_text(facts)
