"""Render rich objects as text for a terminal of 80 columns without colour."""

from io import StringIO

from rich.console import Console, RenderableType


def a_console(width: int = 80, *, height: int | None = None, is_terminal: bool = False) -> Console:
    """Return a console that writes into a string, as Terminal has one."""
    return Console(
        width=width,
        height=height,
        file=StringIO(),
        force_terminal=is_terminal,
        color_system=None,
        highlight=False,
        markup=False,
        emoji=False,
        _environ={},
    )


def written(console: Console) -> str:
    """Return all text printed on such a console."""
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def rendered(renderable: RenderableType) -> str:
    """Return the lines of the renderable, each at most 80 columns, without trailing blanks."""
    console = a_console()
    console.print(renderable)
    lines = written(console).splitlines()
    assert max(map(len, lines), default=0) <= 80
    return "\n".join(line.rstrip() for line in lines)
