"""Consoles that cut nothing off."""

import sys
from io import StringIO

import pytest
from rich.text import Text

from dask_bake.view.console import LEAST_WIDTH, FittingConsole
from dask_bake.view.terminal import Terminal
from rendering import written

LONG = "x" * 200


def test_a_pipe_is_as_wide_as_what_is_printed(capsys):
    Terminal().out.print(Text(LONG))

    assert capsys.readouterr().out == f"{LONG}\n"


@pytest.mark.parametrize("columns", ["0", "40", "60"])
def test_a_pipe_has_no_width_by_the_environment(columns, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", columns)
    Terminal().out.print(Text(LONG))

    assert capsys.readouterr().out == f"{LONG}\n"


@pytest.mark.parametrize("variable", ["FORCE_COLOR", "TTY_COMPATIBLE"])
def test_a_pipe_that_may_have_colours_has_no_width_either(variable, monkeypatch, capsys):
    monkeypatch.setenv(variable, "1")
    Terminal().out.print(Text(LONG))

    assert LONG in capsys.readouterr().out


@pytest.mark.parametrize(("columns", "width"), [("0", 80), ("1", LEAST_WIDTH), ("40", 40), ("200", 200)])
def test_a_terminal_has_the_width_of_the_environment_but_never_none(columns, width, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr(sys, "__stdin__", None)
    monkeypatch.setattr(sys, "__stdout__", None)
    monkeypatch.setattr(sys, "__stderr__", None)
    console = FittingConsole(file=StringIO(), force_terminal=True, color_system=None)

    console.print(Text(LONG), soft_wrap=True)

    assert console.width == width
    assert written(console) == f"{LONG}\n"
