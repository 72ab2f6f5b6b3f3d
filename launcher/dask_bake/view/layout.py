"""Building blocks of all views: grids, tables, indentation, ages and sizes as text, errors, and JSON."""

import json
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from rich import box
from rich.columns import Columns
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement, measure_renderables
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from dask_bake.errors import BakeError
from dask_bake.hints import complete
from dask_bake.system.text import printable
from dask_bake.view.console import MOST_WIDTH

INDENT = 2
"""Columns by which details are indented below their heading."""
FOLDED_WIDTH = 10
"""Columns that a cell gets at least that may take several lines."""


def as_json(document: object) -> str:
    """Return the document as JSON, as ``--json`` prints it."""
    return json.dumps(document, indent=2)


def error_text(error: BakeError, flags: Sequence[str] = ()) -> Text:
    """Return the error's message, and its hint, with the user's flags in its commands, on a second line."""
    text = Text.assemble(("Error: ", "bold red"), error.message)
    if error.hint:
        text.append("\n").append("Hint: ", "bold").append(complete(error.hint, flags))
    return text


def finding_text(kind: str, problem: str, remedy: str) -> Text:
    """Return a problem of this machine, and its remedy on a second line."""
    return Text.assemble((f"{kind}: ", "bold yellow"), problem, "\n  ", remedy)


class FittingTable(Table):
    """Table whose columns take several lines where the console is too narrow for them; nothing is cut off."""

    def add_row(self, *cells: RenderableType | None, **options: Any) -> None:
        """Add a row, of the cells as the console will print them."""
        safe = (_plain(cell) if isinstance(cell, str | Text) else cell for cell in cells)
        super().add_row(*safe, **options)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render the table; where it needs more room than there is, all columns may wrap."""
        wide = options.update(max_width=MOST_WIDTH)
        needed = Table.__rich_measure__(self, console, wide).maximum
        for column in self.columns:
            if not column.no_wrap:
                widest = max(
                    (Measurement.get(console, wide, cell).maximum for cell in column.cells), default=0
                )
                needed -= max(0, widest - FOLDED_WIDTH)
        if needed > options.max_width:
            for column in self.columns:
                column.no_wrap, column.overflow = False, "fold"
        yield from super().__rich_console__(console, options)


class FittingColumns(Columns):
    """Columns of texts, as many as there is room for; a pipe is as wide as the longest text."""

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """Return the width of the longest text."""
        return measure_renderables(console, options, self.renderables)


def grid(rows: Sequence[Sequence[str | Text]], *, wraps: int | None = None, right: int = 99) -> Table:
    """Return rows of cells, in columns as wide as they need.

    Args:
        wraps: the only column that may take more than one line; all may by default.
        right: the first of the columns that are aligned to the right.
    """
    found = FittingTable.grid(padding=(0, 2))
    for column in range(max(map(len, rows), default=0)):
        found.add_column(
            no_wrap=wraps is not None and column != wraps,
            overflow="fold",
            justify="right" if column >= right else "left",
        )
    for row in rows:
        found.add_row(*map(_plain, row))
    return found


def pairs(rows: Sequence[tuple[str, str | Text]]) -> Table:
    """Return labels and their values; a value may take several lines."""
    found = FittingTable.grid(padding=(0, 2))
    found.add_column(style="dim", no_wrap=True)
    found.add_column(overflow="fold")
    for label, value in rows:
        found.add_row(Text(label), _plain(value))
    return found


def table(*headings: str, folds: Sequence[str] = ()) -> Table:
    """Return an empty table with a line below its headings; ``>`` before one aligns its column to the right.

    Args:
        folds: headings of columns that share the width, and may take several lines.
    """
    found = FittingTable(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for heading in headings:
        found.add_column(
            heading.lstrip(">"),
            justify="right" if heading.startswith(">") else "left",
            no_wrap=heading not in folds,
            overflow="fold",
            ratio=1 if heading in folds else None,
        )
    return found


def settings_table(rows: Iterable[tuple[str, str, str]]) -> Table:
    """Return each setting with its value and its source; defaults are dim."""
    found = table("setting", "value", "from", folds=("value", "from"))
    for key, value, source in rows:
        style = "dim" if source == "default" else "bold"
        found.add_row(Text(key, style), Text(value, style), Text(source, style))
    return found


def indented(content: RenderableType) -> Padding:
    """Return the content, indented below its heading."""
    content = _plain(content) if isinstance(content, str | Text) else content
    return Padding(content, (0, 0, 0, INDENT), expand=isinstance(content, FittingColumns))


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun, in the plural unless it is one."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def bytes_text(count: int | None) -> str:
    """Return a size in decimal units, as AWS bills it."""
    if count is None:
        return "?"
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def age_text(age: timedelta) -> str:
    """Return a duration in one unit: seconds, minutes, hours or days."""
    seconds = max(0, int(age.total_seconds()))
    if seconds < 120:
        return f"{seconds} s"
    if seconds < 120 * 60:
        return f"{seconds // 60} min"
    return f"{seconds // 3600} h" if seconds < 48 * 3600 else f"{seconds // (24 * 3600)} d"


def _plain(cell: str | Text) -> Text:
    """Return the cell as the console will print it, so that it is measured right."""
    text = Text(cell) if isinstance(cell, str) else cell
    if (safe := printable(text.plain)) != text.plain:
        text.plain = safe
    return text
