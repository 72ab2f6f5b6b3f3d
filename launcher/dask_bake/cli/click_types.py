"""Extensions of click: help in sections, on/off options, and arguments after ``--``."""

from collections.abc import Mapping, Sequence
from typing import Any

import click

from dask_bake.options.launch_table import Option


class SectionedGroup(click.Group):
    """Group whose help lists its commands under headings, in the order given."""

    def __init__(self, *args: Any, sections: Mapping[str, Sequence[str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sections = sections

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write each section's commands with their one line of help."""
        width = max(len(name) for names in self.sections.values() for name in names)
        for title, names in self.sections.items():
            with formatter.section(title):
                formatter.write_dl(
                    [(name.ljust(width), self.commands[name].get_short_help_str(64)) for name in names]
                )


class SectionedCommand(click.Command):
    """Command whose help lists its options under headings; the other options come last.

    Args:
        most_used: names of the options that come first.
    """

    def __init__(
        self,
        *args: Any,
        most_used: Sequence[str],
        sections: Sequence[tuple[str, Sequence[Option]]],
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.most_used, self.sections = most_used, sections

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each section's options with their help."""
        left = {parameter.name: parameter for parameter in self.get_params(ctx)}
        first = [left.pop(name) for name in self.most_used]
        named = [
            (title, [left.pop(option.name) for option in options if option.name in left])
            for title, options in self.sections
        ]
        for title, parameters in (("Most used", first), *named, ("Other", list(left.values()))):
            records = [record for each in parameters if (record := each.get_help_record(ctx)) is not None]
            with formatter.section(title):
                formatter.write_dl(records)


class OnOffOption(click.Option):
    """On/off option. The help shows its ``--no-`` form only where it is on by default."""

    def __init__(self, *args: Any, is_on: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.is_on = is_on

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return the option's spelling and its help."""
        record = super().get_help_record(ctx)
        return record if record is None or self.is_on else (self.opts[0], record[1])


class PathText(click.Path):
    """A path as it was written, which a shell completes; the option's own parser checks it."""

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,  # noqa: ARG002
        ctx: click.Context | None,  # noqa: ARG002
    ) -> Any:
        """Return the text."""
        return value


class NodeCommand(click.Command):
    """Command that takes the arguments after ``--`` unparsed."""

    WORDS = "dask_bake.words"

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Store the arguments after ``--``, and parse the rest."""
        if "--" in args:
            cut = args.index("--")
            ctx.meta[self.WORDS] = tuple(args[cut + 1 :])
            args = args[:cut]
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Return the pieces of the usage line."""
        return [*super().collect_usage_pieces(ctx), "[-- CMD...]"]
