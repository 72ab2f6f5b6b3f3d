"""A bake as text: its phases while it goes on, and what came of it."""

import time
from collections.abc import Callable
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from dask_bake.bake.bake import BakeResult
from dask_bake.bake.explain import Explanation
from dask_bake.events import Event, Note, Output, PhaseEnded, PhaseStarted
from dask_bake.models.ec2 import Image
from dask_bake.models.tags import Tag, Verified
from dask_bake.view.image_json import differences_as_data
from dask_bake.view.images import differences_view

INDENT = "  "
PROVED = {True: "a head and a worker booted from it and computed", False: "no: it was never booted"}
PhaseTimes = tuple[tuple[str, float], ...]
PER_SECOND = 8
# Of the longest phase.
WIDTH = 23
# Seconds; a phase that took less needs no line while it goes on.
BRIEF = 0.5


class LiveBake:
    """Prints each phase when it has ended; a terminal has a moving line for the one that goes on."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._phase = ""
        self._since = 0.0
        self._last = ""
        self._spinner = Spinner("dots")
        self._live = Live(
            console=console, get_renderable=self._now, refresh_per_second=PER_SECOND, transient=True
        )

    def __enter__(self) -> "LiveBake":
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._phase = ""
        self._live.stop()

    def notify(self, event: Event) -> None:
        """The event is shown."""
        match event:
            case Note(text):
                self._console.print(Text(text), soft_wrap=True)
            case PhaseStarted(phase):
                self._phase, self._since, self._last = phase, self._clock(), ""
            case PhaseEnded(phase, seconds):
                self._phase = ""
                if seconds >= BRIEF:
                    self._console.print(phase_line(phase, seconds))
            case Output(line):
                self._last = line

    def refresh(self) -> None:
        """The moving line is up to date."""
        self._live.refresh()

    def _now(self) -> RenderableType:
        if not self._phase:
            return Text()
        line = Text.assemble(
            self._phase.ljust(WIDTH), f"{self._clock() - self._since:6.1f} s  ", (self._last, "dim")
        )
        line.truncate(max(self._console.width - 4, 10), overflow="ellipsis")
        self._spinner.update(text=line)
        return self._spinner


def phase_line(phase: str, seconds: float) -> Text:
    """A phase that is over."""
    return Text.assemble(INDENT, phase.ljust(WIDTH), f"{seconds:6.1f} s")


def hit_line(result: BakeResult) -> Text:
    """One line: the image was there."""
    return Text(f"{result.image.id} is there: {_contents(result)}")


def closing_panel(result: BakeResult, phases: PhaseTimes) -> RenderableType:
    """The image, what is in it, and where the time went."""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="bold", no_wrap=True)
    facts.add_column()
    for key, value in _facts(result):
        facts.add_row(key, Text(value))
    times = Table.grid(padding=(0, 2))
    times.add_column(no_wrap=True)
    times.add_column(justify="right", no_wrap=True)
    for phase, seconds in phases:
        times.add_row(Text(phase), Text(f"{seconds:.1f} s"))
    times.add_row(Text("all", style="bold"), Text(f"{_total(phases):.1f} s", style="bold"))
    return Panel(Group(facts, Text(), times), title="baked", title_align="left", expand=False)


def as_json(result: BakeResult, phases: PhaseTimes) -> dict[str, object]:
    """The same facts for a program."""
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
    """What would be built, and what that changes."""
    manifest = explanation.manifest
    count, inputs = len(manifest.packages), dict(manifest.inputs)
    lines: list[RenderableType] = [
        Text(
            f"{explanation.environment}: Python {manifest.python}, {count} packages by {inputs['installer']}"
            f" on {inputs['base_image']} ({inputs['architecture']}), digest {manifest.digest[:12]}"
        )
    ]
    if explanation.image is not None:
        proved = explanation.image.tag(Tag.VERIFIED) == Verified.YES
        rest = "." if proved else ", but it would be booted, to prove itself."
        lines.append(Text(f"{explanation.image.id} is just that: nothing would be built{rest}"))
    elif explanation.newest is None or explanation.found is None:
        lines.append(Text("It would be built: there is no image of this environment to compare it with."))
    else:
        lines.append(
            Text(f"It would be built. {_changed(explanation.newest, has_changed=bool(explanation.found))}")
        )
    if explanation.image is None and explanation.found:
        lines += [Text(), differences_view(explanation.found)]
    return Group(*lines)


def explanation_document(explanation: Explanation) -> dict[str, object]:
    """The same for a program."""
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


def _changed(newest: Image, *, has_changed: bool) -> str:
    if has_changed:
        return f"What differs from {newest.id}:"
    return f"Nothing differs from {newest.id}."


def _facts(result: BakeResult) -> tuple[tuple[str, str], ...]:
    installer, count = result.image.tag(Tag.INSTALLER), len(result.manifest.packages)
    return (
        ("image", result.image.id),
        ("name", result.image.name),
        ("base", f"{result.image.tag(Tag.BASE)} {result.image.tag(Tag.BASE_NAME)}"),
        ("holds", _contents(result)),
        ("packages", f"{count}, {result.size / 1e6:.0f} MB, installed by {installer}"),
        ("proved", PROVED[result.image.tag(Tag.VERIFIED) == Verified.YES]),
    )


def _contents(result: BakeResult) -> str:
    dask, distributed = (result.image.tag(key) for key in (Tag.DASK, Tag.DISTRIBUTED))
    dasks = (
        f"dask and distributed {dask}" if dask == distributed else f"dask {dask}, distributed {distributed}"
    )
    return f"Python {result.manifest.python}, {dasks}"


def _total(phases: PhaseTimes) -> float:
    return sum(seconds for _, seconds in phases)
