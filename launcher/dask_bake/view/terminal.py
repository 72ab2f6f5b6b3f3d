"""Output of a command: results to stdout, notes and progress to stderr."""

import errno
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, Progress
from rich.text import Text

from dask_bake.events import Called, ClusterSeen, Event, Note, Output, PhaseEnded, PhaseStarted
from dask_bake.hints import complete
from dask_bake.system.text import printable
from dask_bake.view.console import FittingConsole
from dask_bake.view.layout import as_json
from dask_bake.view.progress import REFRESHES_PER_SECOND, BakeProgress, LaunchProgress

READING = ("Describe", "Get", "List")
"""How the names of operations begin that change nothing."""


class Terminal:
    """Output of a command. Pass its ``notify`` to functions that report progress.

    Args:
        flags: options by which the user chose the cloud; commands in notes and views get them.
    """

    def __init__(
        self, out: Console | None = None, err: Console | None = None, *, flags: Sequence[str] = ()
    ) -> None:
        self.out = out or FittingConsole()
        self.err = err or FittingConsole(stderr=True)
        self.flags = tuple(flags)
        self.calls: list[str] = []
        self.has_written = False
        self.last_seen: ClusterSeen | None = None
        self._launch: LaunchProgress | None = None
        self._bake: BakeProgress | None = None
        self._is_live = False
        self._spinner = self.err.status("")

    def notify(self, event: Event) -> None:
        """Show the event, or record it for the result."""
        if isinstance(event, Note):
            event = Note(complete(event.text, self.flags))
        if isinstance(event, Called):
            self.calls.append(event.operation)
        elif self._bake:
            self._bake.notify(event)
        elif isinstance(event, Note | Output):
            self._print_text(event)
        elif self._launch:
            self._update_launch(self._launch, event)
        else:
            self._print_phase(event)

    @contextmanager
    def working(self) -> Iterator[None]:
        """Stop the spinner of the current phase when the block ends, also by an exception."""
        try:
            yield
        finally:
            self._spinner.stop()

    @contextmanager
    def watching(self) -> Iterator[LaunchProgress]:
        """Show nodes and phases of a launch while the block runs, live where stderr is a terminal."""
        self._launch = progress = LaunchProgress(time.monotonic)
        try:
            if not self.err.is_terminal:
                yield progress
                return
            self._is_live = True
            with Live(progress, console=self.err, refresh_per_second=REFRESHES_PER_SECOND, transient=False):
                yield progress
        finally:
            self._launch, self._is_live = None, False

    @contextmanager
    def baking(self) -> Iterator[None]:
        """Show the phases of a bake while the block runs."""
        self._bake = BakeProgress(self.err)
        try:
            with self._bake:
                yield
        finally:
            self._bake = None

    @contextmanager
    def percentages(self, names: Sequence[str]) -> Iterator[Callable[[str, int], None]]:
        """Show how far each of these is while the block runs, where stderr is a terminal."""
        if not self.err.is_terminal:
            yield lambda _name, _percent: None
            return
        bars = Progress("{task.description}", BarColumn(), "{task.percentage:>3.0f} %", console=self.err)
        tasks = {name: bars.add_task(name, total=100) for name in names}
        with bars:
            yield lambda name, percent: bars.update(tasks[name], completed=percent)

    @contextmanager
    def delivering(self) -> Iterator[None]:
        """Raise OSError if what the block wrote to stdout could not be delivered."""
        try:
            yield
            _stdout().flush()
        except SystemExit as error:
            # rich raises it when nobody reads the pipe.
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)) from error

    def write_json(self, document: object) -> None:
        """Write the document to stdout as JSON."""
        self.write(as_json(document))

    @property
    def has_changed(self) -> bool:
        """True once an operation that creates, changes or removes something was called, not as a dry run."""
        return any(":" not in call and not call.startswith(READING) for call in self.calls)

    def write(self, text: str) -> None:
        """Write text that is complete already, such as a policy or an SBOM, to stdout."""
        self.has_written = True
        _stdout().write(printable(text) + "\n")

    def write_line(self, text: str, *, to_stderr: bool = False) -> None:
        """Write a line of a node's at once, as it is."""
        stream = sys.stderr if to_stderr else _stdout()
        if stream is not None:
            stream.write(printable(text, keep="\t") + "\n")
            stream.flush()

    def _update_launch(self, launch: LaunchProgress, event: Event) -> None:
        if isinstance(event, ClusterSeen):
            self.last_seen = event
        line = launch.update(event)
        if line and not self._is_live:
            self._print_line(line)

    def _print_phase(self, event: Event) -> None:
        match event:
            case PhaseStarted(phase) if self.err.is_terminal:
                self._spinner.update(Text(f"{phase} …"))
                self._spinner.start()
            case PhaseStarted(phase):
                self._print_line(f"  {phase} …")
            case PhaseEnded(phase, seconds):
                self._spinner.stop()
                self._print_line(f"  {phase} {seconds:.1f} s")
            case ClusterSeen():
                self.last_seen = event

    def _print_text(self, event: Note | Output) -> None:
        match event:
            case Note(text):
                self._print_line(text)
            case Output(line):
                self._print_line(line, "dim")

    def _print_line(self, line: str, style: str = "") -> None:
        self.err.print(Text(line, style), soft_wrap=True)


def _stdout() -> TextIO:
    stdout: TextIO | None = sys.stdout
    if stdout is None:  # The shell has closed it.
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    return stdout
