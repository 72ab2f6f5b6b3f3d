"""Progress of a launch and of a bake: live on a terminal and below a notebook's cell, else plain lines."""

import io
import sys
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from rich.columns import Columns
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from dask_bake.events import Called, ClusterSeen, Event, Note, Notify, Output, PhaseEnded, PhaseStarted
from dask_bake.hints import complete
from dask_bake.models.cluster import Cluster, Node
from dask_bake.view import layout
from dask_bake.view.console import FittingConsole

REFRESHES_PER_SECOND = 8
PHASE_WIDTH = 23
"""Columns of the longest name of a bake's phase."""
HEADING_LINES = 2
"""Lines of a table before its first row, where the terminal is wide enough."""
SHORTEST_PHASE = 0.5
"""Seconds; a phase of a bake that took less gets no line."""
PAGE_WIDTH = 100
SHORTEST_INTERVAL = 0.25
"""Seconds between two updates of the display; the last state is always shown."""
PAGE = '<pre style="white-space: pre; line-height: normal">{code}</pre>'


@dataclass
class LaunchProgress:
    """Progress of a launch: its nodes, phases and their times, as a renderable.

    It is never higher than the terminal: where there is no room for all nodes, those that are not ready are
    shown, as many as fit.
    """

    clock: Callable[[], float]
    start: float = field(init=False)
    cluster: Cluster | None = None
    registered: dict[str, int] = field(default_factory=dict)
    phase: str = ""
    ended: list[tuple[str, float]] = field(default_factory=list)
    times: dict[tuple[str, str], float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.start = self.clock()
        self._spinner = Spinner("dots", style="cyan")

    @property
    def elapsed(self) -> float:
        """Seconds since the launch began."""
        return self.clock() - self.start

    def update(self, event: Event) -> str | None:
        """Record the event, and return its line of text where there is no live table, if it has one."""
        match event:
            case PhaseStarted(phase):
                self.phase = phase
            case PhaseEnded(phase, seconds):
                self.phase = ""
                self.ended.append((phase, seconds))
                if phase == "scheduler" and self.cluster and self.cluster.head:
                    self._note(self.cluster.head, "ready")
                return f"{self.elapsed:6.1f} s  {phase} ({seconds:.1f} s)"
            case ClusterSeen(cluster, registered):
                return self._update_cluster(cluster, dict(registered))
        return None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render the table of nodes, and the phases below it."""
        phases = self._phases()
        if self.cluster is None or not self.cluster.nodes:
            yield phases
            return
        cluster, below = self.cluster, [Text(), phases]
        room = options.size.height - _height(Group(*below), console, options)
        nodes: Sequence[Node] = cluster.nodes
        if len(nodes) + HEADING_LINES > room or _height(self._table(nodes, cluster), console, options) > room:
            below.insert(0, Text(f"{self._ready} of {len(cluster.nodes)} nodes are ready", "dim"))
            late = tuple(node for node in cluster.nodes if (node.id, "ready") not in self.times)
            nodes = self._fitting(late, cluster, room - 1, console, options)
        yield Group(*([self._table(nodes, cluster)] if nodes else []), *below)

    def _fitting(
        self, nodes: Sequence[Node], cluster: Cluster, room: int, console: Console, options: ConsoleOptions
    ) -> Sequence[Node]:
        """Return the first nodes whose table takes at most ``room`` lines; a narrow one wraps."""

        def height(count: int) -> int:
            return _height(self._table(nodes[:count], cluster), console, options)

        most = min(len(nodes), max(0, room - HEADING_LINES))
        if height(most) <= room:
            return nodes[:most]
        return nodes[: bisect_right(range(1, most), room, key=height)]

    def _update_cluster(self, cluster: Cluster, registered: dict[str, int]) -> str | None:
        before = sum(self.registered.values())
        self.cluster, self.registered = cluster, registered
        for node in cluster.nodes:
            self._note(node, "requested")
            if node.state == "running":
                self._note(node, "running")
            if node.index and registered.get(node.private_address, 0) >= cluster.nprocs:
                self._note(node, "ready")
        now = sum(registered.values())
        if now == before:
            return None
        return f"{self.elapsed:6.1f} s  {now} of {cluster.expected_workers} workers"

    def _note(self, node: Node, phase: str) -> None:
        self.times.setdefault((node.id, phase), self.elapsed)

    @property
    def _ready(self) -> int:
        return sum(phase == "ready" for _, phase in self.times)

    def _table(self, nodes: Sequence[Node], cluster: Cluster) -> RenderableType:
        table = layout.table(">#", "role", "address", ">requested", ">running", ">ready", ">workers")
        for node in nodes:
            table.add_row(
                Text(str(node.index)),
                Text(node.role_text),
                Text(node.address),
                *(self._time(node, phase) for phase in ("requested", "running", "ready")),
                Text(self._workers(node, cluster)),
            )
        return table

    def _time(self, node: Node, phase: str) -> Text:
        seconds = self.times.get((node.id, phase))
        if seconds is None:
            return Text(node.state if phase == "running" else "·", "yellow" if phase == "running" else "dim")
        return Text(f"{seconds:.1f} s", "green" if phase == "ready" else "")

    def _workers(self, node: Node, cluster: Cluster) -> str:
        if node.index == 0 or not cluster.has_dask:
            return ""
        return f"{self.registered.get(node.private_address, 0)} of {cluster.nprocs}"

    def _phases(self) -> RenderableType:
        ended = [
            Text.assemble(("✓ ", "green"), (f"{phase} {seconds:.1f} s", "dim"))
            for phase, seconds in self.ended
        ]
        line = Columns(ended, padding=(0, 3))
        if not self.phase:
            return line
        self._spinner.update(text=Text(f"{self.phase} …  {self.elapsed:.0f} s", "cyan"))
        return Group(line, self._spinner) if self.ended else self._spinner


def _height(renderable: RenderableType, console: Console, options: ConsoleOptions) -> int:
    """Return the number of lines of the renderable."""
    return len(console.render_lines(renderable, options, pad=False))


class BakeProgress:
    """Progress of a bake: a line for each phase that has ended.

    A terminal also shows a live line for the current phase, with the last line of its output.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._phase = ""
        self._started = 0.0
        self._last_line = ""
        self._spinner = Spinner("dots")
        self._live = Live(
            console=console,
            get_renderable=self._current_phase,
            refresh_per_second=REFRESHES_PER_SECOND,
            transient=True,
        )

    def __enter__(self) -> "BakeProgress":
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._phase = ""
        self._live.stop()

    def notify(self, event: Event) -> None:
        """Show the event."""
        match event:
            case Note(text):
                self._console.print(Text(text), soft_wrap=True)
            case PhaseStarted(phase):
                self._phase, self._started, self._last_line = phase, self._clock(), ""
            case PhaseEnded(phase, seconds):
                self._phase = ""
                if seconds >= SHORTEST_PHASE:
                    self._console.print(Text(f"  {phase.ljust(PHASE_WIDTH)}{seconds:6.1f} s"))
            case Output(line):
                self._last_line = line

    def refresh(self) -> None:
        """Draw the live line now."""
        self._live.refresh()

    def _current_phase(self) -> RenderableType:
        if not self._phase:
            return Text()
        line = Text.assemble(
            self._phase.ljust(PHASE_WIDTH),
            f"{self._clock() - self._started:6.1f} s  ",
            (self._last_line, "dim"),
        )
        line.truncate(max(self._console.width - 4, 10), overflow="ellipsis")
        self._spinner.update(text=line)
        return self._spinner


def is_notebook() -> bool:
    """Return whether this process runs a notebook's cells."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return hasattr(shell, "kernel")


@contextmanager
def watching_in_notebook(
    flags: Sequence[str], display: Callable[[str], Callable[[str], None]] | None = None
) -> Iterator[Notify]:
    """Show the events that the block sends: notes, nodes and phases.

    Args:
        flags: options by which the user chose the cloud; commands in notes get them.
        display: shows a page, and returns a function that replaces it.
    """
    progress = _Page(LaunchProgress(time.monotonic), display or _display, tuple(flags))
    try:
        yield progress.notify
    finally:
        progress.show()


class _Page:
    """The page below the cell."""

    def __init__(
        self,
        progress: LaunchProgress,
        display: Callable[[str], Callable[[str], None]],
        flags: tuple[str, ...],
    ) -> None:
        self._progress = progress
        self._display = display
        self._flags = flags
        self._notes: list[str] = []
        self._replace: Callable[[str], None] | None = None
        self._shown_at = -SHORTEST_INTERVAL

    def notify(self, event: Event) -> None:
        """Record the event, and show it soon."""
        match event:
            case Note(text):
                self._notes.append(complete(text, self._flags))
            case Called() | Output():
                return
            case _:
                self._progress.update(event)
        if self._progress.elapsed >= self._shown_at + SHORTEST_INTERVAL:
            self.show()

    def show(self) -> None:
        """Show the state as it is now."""
        self._shown_at = self._progress.elapsed
        page = as_html(Group(*(Text(note) for note in self._notes), self._progress))
        if self._replace is None:
            self._replace = self._display(page)
        else:
            self._replace(page)


def as_html(renderable: RenderableType) -> str:
    """Return what a terminal would show, as HTML."""
    console = FittingConsole(
        file=io.StringIO(),
        record=True,
        width=PAGE_WIDTH,
        height=PAGE_WIDTH,
        force_terminal=True,
        force_jupyter=False,
    )
    console.print(renderable)
    return console.export_html(inline_styles=True, code_format=PAGE)


def _display(page: str) -> Callable[[str], None]:
    from IPython.display import HTML, display  # not a requirement: a notebook has it

    handle: Any = display(HTML(page), display_id=True)
    return lambda new: handle.update(HTML(new))
