"""Confirmation before resources are removed."""

import sys

import click

from dask_bake.errors import UsageError
from dask_bake.view.terminal import Terminal


def check_can_ask(*, asks: bool) -> None:
    """Raise if the command has to ask for confirmation, and stdin is not a terminal."""
    if asks and not sys.stdin.isatty():
        raise UsageError(
            "this removes resources permanently, and there is no terminal to confirm it on",
            hint="--yes removes them, --dry-run shows what would be removed",
        )


def confirm(
    terminal: Terminal, shown: object, *, question: str = "Remove?", declined: str = "Nothing was removed."
) -> bool:
    """Show what would be removed, and return whether the user confirms it."""
    terminal.err.print(shown)
    if click.confirm(question, err=True):
        return True
    terminal.err.print(declined)
    return False
