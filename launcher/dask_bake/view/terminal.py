"""The terminal: results to stdout, everything else to stderr, as a live view or as lines."""

import errno
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

from dask_bake.events import Called, ClusterSeen, Event, Note, Output, PhaseEnded, PhaseStarted
from dask_bake.hints import complete
from dask_bake.view.launch_progress import LaunchView


class Terminal:
    """Where a command speaks: hand its ``notify`` to whatever works.

    Args:
        flags: by which the user chose the cloud; commands that are shown get them.
    """

    def __init__(
        self, out: Console | None = None, err: Console | None = None, *, flags: Sequence[str] = ()
    ) -> None:
        self.out = out or Console(highlight=False, markup=False)
        self.err = err or Console(stderr=True, highlight=False, markup=False)
        self.flags = tuple(flags)
        self.calls: list[str] = []
        self.last_seen: ClusterSeen | None = None
        self._view: LaunchView | None = None
        self._is_live = False
        self._spinner = self.err.status("")

    def notify(self, event: Event) -> None:
        """Shows the event, or keeps it for the end."""
        match event:
            case Note(text):
                self._line(complete(text, self.flags), "")
            case Output(line):
                self._line(line, "dim")
            case Called(operation):
                self.calls.append(operation)
            case PhaseStarted(phase) if self._view is None:
                self._begin(phase)
            case PhaseEnded(phase, seconds) if self._view is None:
                self._spinner.stop()
                self._line(f"  {phase} {seconds:.1f} s", "")
            case _:
                if isinstance(event, ClusterSeen):
                    self.last_seen = event
                seen = self._view.see(event) if self._view else None
                if seen and not self._is_live:
                    self._line(seen, "")

    @contextmanager
    def working(self) -> Iterator[None]:
        """While this lasts, the phase that goes on is shown, however it ends."""
        try:
            yield
        finally:
            self._spinner.stop()

    @contextmanager
    def watching(self) -> Iterator[LaunchView]:
        """While this lasts, phases and nodes are shown as they change."""
        self._view = view = LaunchView(time.monotonic)
        try:
            if not self.err.is_terminal:
                yield view
                return
            self._is_live = True
            with Live(view, console=self.err, refresh_per_second=8, transient=False):
                yield view
        finally:
            self._view, self._is_live = None, False

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Raises an OSError where what is said within this reaches nobody."""
        try:
            yield
            _stdout().flush()
        except SystemExit as error:
            # What rich makes of a pipe that nobody reads.
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)) from error
        except OSError:
            _give_up_stdout()
            raise

    def write_json(self, text: str) -> None:
        """A document for a script, as it is."""
        _stdout().write(text + "\n")

    def _begin(self, phase: str) -> None:
        if self.err.is_terminal:
            self._spinner.update(Text(f"{phase} …"))
            self._spinner.start()
        else:
            self._line(f"  {phase} …", "")

    def _line(self, line: str, style: str) -> None:
        self.err.print(Text(line, style), soft_wrap=True)


def _stdout() -> TextIO:
    stdout: TextIO | None = sys.stdout
    if stdout is None:  # as it is where the shell has closed it
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    return stdout


def _give_up_stdout() -> None:
    """What is still to be written there would fail once more when Python ends."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
