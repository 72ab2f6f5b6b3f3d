"""A launch while it goes on: events in; a table of nodes and phases out, or lines for no terminal."""

from collections.abc import Callable
from dataclasses import dataclass, field

from rich import box
from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from dask_bake.events import ClusterSeen, Event, PhaseEnded, PhaseStarted
from dask_bake.models.cluster import Cluster, Node

MOST_ROWS = 20


@dataclass
class LaunchView:
    """What is known of the launch so far; rich draws it anew whenever it likes."""

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

    def see(self, event: Event) -> str | None:
        """Takes the event in; returns the line that tells it to somebody who sees no table."""
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
                return self._see_cluster(cluster, dict(registered))
        return None

    def __rich__(self) -> RenderableType:
        """The table, and below it the phases."""
        if self.cluster is None or not self.cluster.nodes:
            return self._phases()
        return Group(self._nodes(self.cluster), Text(), self._phases())

    def _see_cluster(self, cluster: Cluster, registered: dict[str, int]) -> str | None:
        before, self.cluster = sum(self.registered.values()), cluster
        self.registered = registered
        for node in cluster.nodes:
            self._note(node, "asked")
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

    def _nodes(self, cluster: Cluster) -> RenderableType:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        for heading in ("#", "role", "address", "asked", "running", "ready", "workers"):
            table.add_column(
                heading, no_wrap=True, justify="left" if heading in ("role", "address") else "right"
            )
        shown = cluster.nodes
        if len(shown) > MOST_ROWS:
            waiting = [node for node in shown if (node.id, "ready") not in self.times]
            shown = tuple(waiting[:MOST_ROWS])
        for node in shown:
            table.add_row(
                Text(str(node.index)),
                Text(str(node.role)),
                Text(node.address),
                *(self._time(node, phase) for phase in ("asked", "running", "ready")),
                Text(self._told_of(node, cluster)),
            )
        if len(shown) == len(cluster.nodes):
            return table
        ready = sum(phase == "ready" for _, phase in self.times)
        return Group(table, Text(f"{ready} of {len(cluster.nodes)} nodes are ready", "dim"))

    def _time(self, node: Node, phase: str) -> Text:
        seconds = self.times.get((node.id, phase))
        if seconds is None:
            return Text(node.state if phase == "running" else "·", "yellow" if phase == "running" else "dim")
        return Text(f"{seconds:.1f} s", "green" if phase == "ready" else "")

    def _told_of(self, node: Node, cluster: Cluster) -> str:
        has_workers = node.index > 0 and cluster.has_dask
        return f"{self._workers(node)} of {cluster.nprocs}" if has_workers else ""

    def _workers(self, node: Node) -> int:
        return self.registered.get(node.private_address, 0)

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
