"""What somebody else wrote controls no terminal: tags, names, consoles and errors."""

import io

import pytest
from rich.table import Table
from rich.text import Text

from dask_bake.ec2.responses import tags
from dask_bake.errors import BakeError
from dask_bake.events import Note, Output, PhaseEnded, PhaseStarted
from dask_bake.view.console import FittingConsole
from dask_bake.view.layout import as_json, error_text, grid, indented, pairs, table
from dask_bake.view.terminal import Terminal

HOSTILE = "a\x1b]0;title\x07b\x9b31mc\u202ed\u200be\rf\x08g\x85h\u2028i\u3164j\ufe0fk"
SHOWN = "a]0;titleb31mcdefghijk"
"""Without the question marks: rich leaves some characters out by itself."""


def console(*, is_terminal: bool = False) -> FittingConsole:
    return FittingConsole(file=io.StringIO(), width=200, force_terminal=is_terminal)


def full_table() -> Table:
    found = table("name", "value")
    found.add_row(HOSTILE, Text(HOSTILE))
    return found


@pytest.mark.parametrize(
    "shown",
    [
        HOSTILE,
        Text(HOSTILE),
        error_text(BakeError(HOSTILE, hint=HOSTILE)),
        grid([[HOSTILE, Text(HOSTILE)]]),
        pairs([("label", HOSTILE)]),
        indented(Text(HOSTILE)),
        full_table(),
    ],
    ids=["text", "Text", "error", "grid", "pairs", "indented", "table"],
)
@pytest.mark.parametrize("is_terminal", [True, False])
def test_nothing_that_is_printed_controls_a_terminal(shown, is_terminal):
    out = console(is_terminal=is_terminal)

    out.print(shown)

    written = out.file.getvalue()  # type: ignore[attr-defined]
    assert SHOWN in written.replace("?", "")
    assert not set("\x07\x08\x9b\x85\u202e\u200b\r\u2028\u3164\ufe0f") & set(written)
    assert "\x1b]" not in written


@pytest.mark.parametrize(
    "event", [Note(HOSTILE), Output(HOSTILE), PhaseStarted(HOSTILE), PhaseEnded(HOSTILE, 1.0)]
)
def test_events_cannot_control_a_terminal(event):
    terminal = Terminal(err=console())

    terminal.notify(event)

    assert SHOWN in terminal.err.file.getvalue().replace("?", "")  # type: ignore[attr-defined]


def test_the_terminal_of_a_command_prints_safely():
    terminal = Terminal()

    assert isinstance(terminal.out, FittingConsole)
    assert isinstance(terminal.err, FittingConsole)


def test_json_has_what_there_is_as_escapes(capsys):
    Terminal().write_json({"name": HOSTILE})

    assert capsys.readouterr().out == as_json({"name": HOSTILE}) + "\n"
    assert as_json(HOSTILE).isascii()
    assert as_json(HOSTILE).isprintable()


def test_a_tag_is_one_line():
    """It cannot look like a line of dask-bake's own."""
    assert tags([{"Key": "Na\nme", "Value": "taxi\nError: pay at evil.example"}]) == (
        ("Na?me", "taxi?Error: pay at evil.example"),
    )
