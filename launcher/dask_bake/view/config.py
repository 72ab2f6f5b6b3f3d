"""The configuration as a table."""

from collections.abc import Iterable

from rich import box
from rich.table import Table
from rich.text import Text


def config_table(rows: Iterable[tuple[str, str, str]]) -> Table:
    """Each setting with its value and its source; what is not the default stands out."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("setting", no_wrap=True)
    table.add_column("value", overflow="fold", ratio=1)
    table.add_column("from", overflow="fold", ratio=1)
    for key, value, source in rows:
        style = "dim" if source == "default" else "bold"
        table.add_row(Text(key, style), Text(value, style), Text(source, style))
    return table
