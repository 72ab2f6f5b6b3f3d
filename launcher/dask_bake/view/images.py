"""Views of images: a list, one image with its contents, and differences; they fit 80 columns."""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from dask_bake.images.differences import Change, Difference, Differences
from dask_bake.images.facts import ImageFacts
from dask_bake.images.manifest import Manifest
from dask_bake.models.debian import release_of_image
from dask_bake.models.ec2 import Image, ImageSettings
from dask_bake.models.tags import Tag
from dask_bake.view import layout

HEADINGS = ("image", "age", "size", "base", "verified", "in use by")
RIGHT = ("age", "size")
DAY = re.compile(r"-(\d{4})(\d{2})(\d{2})(?:-|$)")
SIGNS = {Change.ADDED: ("+", "green"), Change.REMOVED: ("-", "red"), Change.CHANGED: ("~", "yellow")}


def images_table(facts: Sequence[ImageFacts], now: datetime) -> RenderableType:
    """Return two lines for each image: its age, size, base and users; then its name and contents."""
    if not facts:
        return Text("There are no images in this region. dask-bake bake makes one.")
    rows = [_row(each, now) for each in facts]
    widths = [max(len(row[column]) for row in (HEADINGS, *rows)) for column in range(len(HEADINGS) - 1)]
    parts: list[RenderableType] = [_line(HEADINGS, widths, "bold"), Rule(style="dim", characters="─")]
    for each, row in zip(facts, rows, strict=True):
        style = "" if each.is_ready else "yellow"
        parts += [_line(row, widths, style), layout.indented(Text(_contents(each), "dim"))]
    if any(each.is_superseded for each in facts):
        parts += [Text(), Text("* A newer base image exists: dask-bake bake uses it.", "dim")]
    return Group(*parts)


def image_view(facts: ImageFacts, settings: ImageSettings, now: datetime) -> RenderableType:
    """Return one image with its properties, inputs, files and packages."""
    parts: list[RenderableType] = [layout.pairs(_facts(facts, settings, now))]
    manifest = facts.manifest
    if manifest is None:
        parts += [Text(), Text("The image has no manifest: an older version of dask-bake baked it.")]
    else:
        parts += _manifest(manifest)
    return Group(*parts)


def differences_view(found: Differences) -> RenderableType:
    """Return differences of inputs, files and packages, one a line."""
    if not found:
        return Text("Nothing differs.")
    parts: list[RenderableType] = []
    for title, some in (("inputs", found.inputs), ("files", found.files), ("packages", found.packages)):
        if some:
            parts += [Text(title, "bold"), layout.indented(_differences(some))]
    return Group(*parts)


def diff_view(before: Image, after: Image, found: Differences) -> RenderableType:
    """Return two images and the differences between them."""
    return Group(
        Text(f"from {before.id} ({before.name})"),
        Text(f"to   {after.id} ({after.name})"),
        differences_view(found),
    )


def _row(facts: ImageFacts, now: datetime) -> tuple[str, ...]:
    base = base_day(facts.image) + ("*" if facts.is_superseded else "")
    ready = str(facts.verified or "no") if facts.image.state == "available" else facts.image.state
    return (
        facts.image.id,
        layout.age_text(facts.age(now)),
        size_text(facts),
        base,
        ready,
        ", ".join(facts.users),
    )


def _line(cells: Sequence[str], widths: Sequence[int], style: str) -> Table:
    table = layout.FittingTable.grid(padding=(0, 2))
    for heading, width in zip(HEADINGS, widths, strict=False):
        table.add_column(width=width, justify="right" if heading in RIGHT else "left", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row(*(Text(cell, style) for cell in cells))
    return table


def _contents(facts: ImageFacts) -> str:
    image = facts.image
    dask, distributed = image.tag(Tag.DASK), image.tag(Tag.DISTRIBUTED)
    parts = (
        image.name,
        facts.environment,
        f"Python {image.tag(Tag.PYTHON)}" if image.tag(Tag.PYTHON) else "",
        f"dask {dask}" if dask else "",
        f"distributed {distributed}" if distributed != dask else "",
        "" if image.architecture == "x86_64" else image.architecture,
    )
    return ", ".join(part for part in parts if part)


def base_day(image: Image) -> str:
    """Return the base image's Debian release and day, such as ``13 2026-07-01``, or ``?`` for other names."""
    name = image.tag(Tag.BASE_NAME)
    found, release = DAY.search(name), release_of_image(name)
    day = "-".join(found.groups()) if found else "?"
    return f"{release.number} {day}" if release else day


def _facts(facts: ImageFacts, settings: ImageSettings, now: datetime) -> list[tuple[str, str]]:
    image, snapshot = facts.image, facts.snapshot
    newer = f", superseded by {facts.newest_base}" if facts.is_superseded else ""
    base = " ".join(part for part in (image.tag(Tag.BASE), image.tag(Tag.BASE_NAME)) if part)
    disk = f"{image.snapshot_id or '?'}, {size_text(facts)}"
    rows = (
        ("image", image.id),
        ("name", image.name),
        ("description", settings.description),
        ("digest", facts.digest),
        ("state", image.state),
        ("verified", str(facts.verified or "no")),
        ("created", f"{image.created:%Y-%m-%d %H:%M} UTC, {layout.age_text(facts.age(now))} ago"),
        ("deprecation", f"{settings.deprecation:%Y-%m-%d}" if settings.deprecation else "never"),
        ("architecture", image.architecture),
        ("environment", facts.environment),
        ("installer", image.tag(Tag.INSTALLER)),
        ("python", image.tag(Tag.PYTHON)),
        ("dask", image.tag(Tag.DASK)),
        ("distributed", image.tag(Tag.DISTRIBUTED)),
        ("base", f"{base}{newer}"),
        ("snapshot", f"{disk}, {'' if snapshot and snapshot.encrypted else 'not '}encrypted"),
        ("metadata", "IMDSv2 required" if settings.requires_tokens else "set by the launch"),
        ("in use by", ", ".join(facts.users) or "nobody"),
        ("shared with", ", ".join(settings.shared_with) or "nobody"),
    )
    return [row for row in rows if row[1]]


def _manifest(manifest: Manifest) -> list[RenderableType]:
    inputs = [(name, value) for name, value in manifest.inputs]
    files = [(file.sha256[:8], f"{file.path}{'*' if file.executable else ''}") for file in manifest.files]
    packages = [
        Text(" ".join(part for part in (each.name, each.version, each.build) if part), overflow="fold")
        for each in manifest.packages
    ]
    return [
        Text(),
        Text("inputs", "bold"),
        layout.indented(layout.grid(inputs)),
        Text(),
        Text("files, * executable", "bold"),
        layout.indented(layout.grid(files)),
        Text(),
        Text(f"{len(packages)} packages", "bold"),
        layout.indented(layout.FittingColumns(packages, padding=(0, 2), column_first=True)),
    ]


def _differences(some: Iterable[Difference]) -> Table:
    rows = []
    for each in some:
        sign, style = SIGNS[each.change]
        change = f"{each.before} → {each.after}"
        value = change if each.change is Change.CHANGED else each.before or each.after
        rows.append((Text(sign, style), each.name, value))
    return layout.grid(rows)


def size_text(facts: ImageFacts) -> str:
    """Return the snapshot's stored size, or an upper limit where EC2 does not report it."""
    size = facts.snapshot.volume_size if facts.snapshot else facts.image.root_size
    return layout.bytes_text(facts.bytes) if facts.bytes is not None else f"≤ {size} GiB" if size else "?"
