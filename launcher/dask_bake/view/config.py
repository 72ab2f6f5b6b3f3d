"""View of the configuration: settings, values and sources."""

from collections.abc import Iterable

from rich.table import Table
from rich.text import Text

from dask_bake.view import layout


def config_table(rows: Iterable[tuple[str, str, str]]) -> Table:
    """Return each setting with its value and its source; defaults are dim."""
    table = layout.table("setting", "value", "from", folds=("value", "from"))
    for key, value, source in rows:
        style = "dim" if source == "default" else "bold"
        table.add_row(Text(key, style), Text(value, style), Text(source, style))
    return table
