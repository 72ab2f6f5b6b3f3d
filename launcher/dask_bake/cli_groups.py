"""How the command line differs from click's own: help in sections, and words after ``--``."""

from collections.abc import Mapping, Sequence
from typing import Any

import click


class SectionedGroup(click.Group):
    """A group whose help lists its commands under headings, in the order given."""

    def __init__(self, *args: Any, sections: Mapping[str, Sequence[str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sections = sections

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Writes each section's commands with their one line of help."""
        width = max(len(name) for names in self.sections.values() for name in names)
        for title, names in self.sections.items():
            with formatter.section(title):
                formatter.write_dl(
                    [(name.ljust(width), self.commands[name].get_short_help_str(64)) for name in names]
                )


class NodeCommand(click.Command):
    """A command that keeps what follows ``--`` as it is, apart from its own arguments."""

    WORDS = "dask_bake.words"

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Sets the words aside, and parses the rest."""
        if "--" in args:
            cut = args.index("--")
            ctx.meta[self.WORDS] = tuple(args[cut + 1 :])
            args = args[:cut]
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """The usage line's pieces."""
        return [*super().collect_usage_pieces(ctx), "[-- CMD...]"]
