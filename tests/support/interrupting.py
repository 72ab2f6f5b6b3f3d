"""An interrupt at each line of the launcher, one run after the other: a signal may come between any two."""

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
"""Each command has more lines than this: were none followed, nothing could be hidden."""
LAUNCHER = str(Path(dask_bake.__file__).parent)


class Lines:
    """Follows the launcher's lines that run within it, and raises KeyboardInterrupt before one of them.

    Args:
        line: the file and the number of that line, which is meant when it runs for the first time.
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


def hidden(
    make: Callable[[], Attempt], look: Callable[[Attempt], list[str]]
) -> dict[tuple[str, int], list[str]]:
    """What ``look`` finds that was not said, by the line that an interrupt came at; each is tried anew."""
    with Lines() as lines, suppress(Exception, KeyboardInterrupt):
        make()()
    assert len(lines.seen) > FEWEST
    found = {}
    for line in lines.seen:
        attempt = make()
        with Lines(line):
            found[line] = look(attempt)
    return {line: left for line, left in found.items() if left}


def words_of(act: Callable[[], object]) -> str | None:
    """What a user would read of what is left; nothing where it went well."""
    try:
        act()
    except (BakeError, KeyboardInterrupt) as error:
        leftover = main._leftover(error)
        return leftover.message if leftover else ""
    return None
