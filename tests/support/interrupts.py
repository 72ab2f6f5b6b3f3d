"""Interrupt the launcher at each of its lines, in one run for each line."""

import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import dask_bake
from dask_bake.cli import main
from dask_bake.errors import BakeError

Attempt = TypeVar("Attempt", bound=Callable[[], object])
FEWEST = 100
"""Every command executes more lines; fewer mean that tracing does not work."""
LAUNCHER = str(Path(dask_bake.__file__).parent)


class Lines:
    """Trace the launcher's lines, and raise KeyboardInterrupt before one of them.

    Args:
        line: file and number of the line; the interrupt comes at its first execution.
    """

    def __init__(self, line: tuple[str, int] | None = None) -> None:
        self._line = line
        self.seen: dict[tuple[str, int], None] = {}

    def __enter__(self) -> "Lines":
        self._before = sys.gettrace()
        sys.settrace(self._call)
        return self

    def __exit__(self, *_error: object) -> None:
        sys.settrace(self._before)

    def _call(self, frame: FrameType, _event: str, _about: object) -> Any:
        return self._step if frame.f_code.co_filename.startswith(LAUNCHER) else None

    def _step(self, frame: FrameType, event: str, _about: object) -> Any:
        line = frame.f_code.co_filename, frame.f_lineno
        if event == "line" and line not in self.seen:
            self.seen[line] = None
            if line == self._line:
                raise KeyboardInterrupt
        return self._step


def unreported(
    make: Callable[[], Attempt], look: Callable[[Attempt], list[str]]
) -> dict[tuple[str, int], list[str]]:
    """Return what ``look`` finds left and unreported, by the line of the interrupt, each in a new attempt."""
    with Lines() as lines, suppress(Exception, KeyboardInterrupt):
        make()()
    assert len(lines.seen) > FEWEST
    found = {}
    for line in lines.seen:
        attempt = make()
        with Lines(line):
            found[line] = look(attempt)
    return {line: left for line, left in found.items() if left}


def message_of(act: Callable[[], object]) -> str | None:
    """Return the message that the user sees about leftovers; None if the action succeeds."""
    try:
        act()
    except (BakeError, KeyboardInterrupt) as error:
        leftover = main._leftover(error)
        return leftover.message if leftover else ""
    return None
