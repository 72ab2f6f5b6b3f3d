"""rich consoles as wide as a terminal, or as what is printed where the output is no terminal.

All output goes through them, and so nothing that others wrote can control the terminal.
"""

import os
from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.measure import Measurement
from rich.segment import Segment

from dask_bake.system.text import printable

PIPE_WIDTH = 80
"""Columns of output that is no terminal; more where a line needs more."""
LEAST_WIDTH = 30
"""Columns of the narrowest terminal; a narrower one wraps the lines itself."""
MOST_WIDTH = 1_000_000


class FittingConsole(Console):
    """Console that cuts nothing off: a pipe has no width, and a terminal's may be reported as 0."""

    def __init__(self, *, stderr: bool = False, **options: Any) -> None:
        columns = os.environ.get("COLUMNS", "")
        is_unset = columns.isdigit() and int(columns) == 0
        environ = {key: value for key, value in os.environ.items() if not (is_unset and key == "COLUMNS")}
        super().__init__(
            stderr=stderr, highlight=False, markup=False, emoji=False, **{"_environ": environ, **options}
        )
        if columns.isdigit() and 0 < int(columns) < LEAST_WIDTH:
            self.width = LEAST_WIDTH
        self._has_width = bool(options.get("force_terminal"))

    def print(self, *objects: Any, **options: Any) -> None:
        """Print the objects; where the output is no terminal, as wide as they are."""
        # Not is_terminal: that is true for a pipe with FORCE_COLOR, as in many CI systems.
        if not (self._has_width or self.file.isatty()):
            wide = self.options.update(max_width=MOST_WIDTH)
            needed = (Measurement.get(self, wide, each).maximum for each in objects)
            self.width = max((PIPE_WIDTH, *needed))
        super().print(*objects, **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Return the segments of a renderable: rich's own control codes, and text that has none."""
        for segment in super().render(renderable, options):
            is_safe = segment.control or printable(segment.text) == segment.text
            yield segment if is_safe else Segment(printable(segment.text), segment.style)
