"""Views of a bake: its result, its explanation, and both as plain data."""

from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.text import Text

from dask_bake.bake.bake import BakeResult
from dask_bake.bake.explain import Explanation
from dask_bake.models.ec2 import Image
from dask_bake.models.tags import Tag, Verified
from dask_bake.view import layout
from dask_bake.view.image_json import differences_as_data
from dask_bake.view.images import differences_view

PhaseTimes = tuple[tuple[str, float], ...]


def hit_line(result: BakeResult) -> Text:
    """Return the line for an image that exists already."""
    return Text(f"{result.image.id} exists: {_contents(result)}")


def closing_panel(result: BakeResult, phases: PhaseTimes) -> RenderableType:
    """Return the new image, its contents, and the time of each phase."""
    times: list[tuple[str | Text, ...]] = [(phase, f"{seconds:.1f} s") for phase, seconds in phases]
    times.append((Text("total", "bold"), Text(f"{_total(phases):.1f} s", "bold")))
    parts = Group(layout.pairs(_facts(result)), Text(), layout.grid(times, right=1))
    return Panel(parts, title="baked", title_align="left", expand=False)


def bake_document(result: BakeResult, phases: PhaseTimes) -> dict[str, Any]:
    """Return the result as plain data, for ``--json``."""
    return {
        "image": result.image.id,
        "name": result.image.name,
        "built": result.built,
        "digest": result.manifest.digest,
        "base": result.image.tag(Tag.BASE),
        "installer": result.image.tag(Tag.INSTALLER),
        "verified": result.image.tag(Tag.VERIFIED),
        "python": result.manifest.python,
        "packages": {package.name: package.version for package in result.manifest.packages},
        "package_bytes": result.size,
        "phases": [{"phase": phase, "seconds": round(seconds, 3)} for phase, seconds in phases],
        "seconds": round(_total(phases), 3),
    }


def explanation_view(explanation: Explanation) -> RenderableType:
    """Return what a bake would build, and how it differs from the newest image."""
    lines: list[RenderableType] = [Text(_recipe(explanation)), Text(_outcome(explanation))]
    if explanation.image is None and explanation.found:
        lines += [Text(), differences_view(explanation.found)]
    return Group(*lines)


def explanation_document(explanation: Explanation) -> dict[str, Any]:
    """Return the explanation as plain data, for ``--json``."""
    return {
        "digest": explanation.manifest.digest,
        "environment": explanation.environment,
        "python": explanation.manifest.python,
        "inputs": dict(explanation.manifest.inputs),
        "packages": {package.name: package.version for package in explanation.manifest.packages},
        "image": explanation.image.id if explanation.image else None,
        "would_build": explanation.image is None,
        "compared_with": explanation.newest.id if explanation.newest else None,
        "differences": None if explanation.found is None else differences_as_data(explanation.found),
    }


def _recipe(explanation: Explanation) -> str:
    manifest = explanation.manifest
    count, inputs = len(manifest.packages), dict(manifest.inputs)
    return (
        f"{explanation.environment}: Python {manifest.python}, {count} packages by {inputs['installer']}"
        f" on {inputs['base_image']} ({inputs['architecture']}), digest {manifest.digest[:12]}"
    )


def _outcome(explanation: Explanation) -> str:
    image, newest = explanation.image, explanation.newest
    if image is not None:
        is_verified = image.tag(Tag.VERIFIED) == Verified.YES
        return f"{image.id} has this digest: nothing would be built" + (
            "." if is_verified else ", but it would be booted to verify it."
        )
    if newest is None or explanation.found is None:
        return "An image would be built. There is no image of this environment to compare with."
    if explanation.found:
        return f"An image would be built. It differs from {newest.id}:"
    return f"An image would be built. It does not differ from {newest.id}."


def _facts(result: BakeResult) -> tuple[tuple[str, str], ...]:
    installer, count = result.image.tag(Tag.INSTALLER), len(result.manifest.packages)
    return (
        ("image", result.image.id),
        ("name", result.image.name),
        ("base", f"{result.image.tag(Tag.BASE)} {result.image.tag(Tag.BASE_NAME)}"),
        ("contents", _contents(result)),
        ("packages", f"{count}, {result.size / 1e6:.0f} MB, installed by {installer}"),
        ("verified", _verified(result.image)),
    )


def _verified(image: Image) -> str:
    if image.tag(Tag.VERIFIED) == Verified.YES:
        return "a head and a worker booted from it and computed"
    return "no, it was not booted"


def _contents(result: BakeResult) -> str:
    dask, distributed = (result.image.tag(key) for key in (Tag.DASK, Tag.DISTRIBUTED))
    dasks = (
        f"dask and distributed {dask}" if dask == distributed else f"dask {dask}, distributed {distributed}"
    )
    return f"Python {result.manifest.python}, {dasks}"


def _total(phases: PhaseTimes) -> float:
    return sum(seconds for _, seconds in phases)
