"""The command line's options, made from the tables that the configuration is read by."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

import click

from dask_bake.cli.click_types import Switch
from dask_bake.errors import UsageError
from dask_bake.hints import flags_of
from dask_bake.options import values as option_values
from dask_bake.options.launch_table import Option
from dask_bake.options.settings_table import CLOUD

Command = Callable[..., Any]

a_path = click.Path(path_type=Path)
json_option = click.option("--json", "json_output", is_flag=True, help="Print JSON, for a script.")
dry_run_option = click.option("--dry-run", is_flag=True, help="Show what would be done; do nothing.")


@dataclass(frozen=True)
class Where:
    """Where clusters and images are, as far as flags say it."""

    cloud: str | None = None
    region: str | None = None
    profile: str | None = None

    @property
    def flags(self) -> tuple[str, ...]:
        """The flags that say so again, in a command that a hint names."""
        return flags_of(cloud=self.cloud, region=self.region, profile=self.profile)


@dataclass
class Typed:
    """What the command line in progress was told; kept for the hints of its errors."""

    flags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Which:
    """Which cluster is meant, as far as the command line says it."""

    where: Where
    name: str | None = None
    file: Path | None = None


def options_of(table: Iterable[Option]) -> Callable[[Command], Command]:
    """Adds the options of a table, each as the table tells it."""

    def add(command: Command) -> Command:
        for option in reversed(tuple(table)):
            command = _click_option(option)(command)
        return command

    return add


def cloud_options(command: Command) -> Command:
    """Adds the options that say where clusters and images are; the command gets them as ``where``."""

    @wraps(command)
    def placed(
        *arguments: Any, cloud: str | None, region: str | None, profile: str | None, **others: Any
    ) -> Any:
        return command(*arguments, where=Where(cloud, region, profile), **others)

    return options_of(CLOUD)(placed)


def cluster_options(command: Command) -> Command:
    """Adds NAME and the options that say which cluster is meant; the command gets them as ``which``."""
    return click.argument("name", required=False)(cluster_file_option(command))


def cluster_file_option(command: Command) -> Command:
    """The same without NAME, for a command that takes that in another way."""

    @wraps(command)
    def placed(*arguments: Any, name: str | None, file: Path | None, where: Where, **others: Any) -> Any:
        return command(*arguments, which=Which(where, name, file), **others)

    return file_option("The cluster of this file. [default: $CLUSTERFILE]")(cloud_options(placed))


def file_option(what: str) -> Callable[[Command], Command]:
    """A file that ``launch --file`` wrote."""
    return click.option("--file", type=a_path, metavar="FILE", help=what)


def _click_option(option: Option) -> Callable[[Command], Command]:
    if not option.metavar:
        return click.option(
            *option.flags, option.name, cls=Switch, is_on=option.is_on, default=None, help=option.help
        )
    # Both leave the text as it is: the option's own parser takes it.
    kind = click.Path() if option.parse is option_values.path else click.STRING
    return click.option(
        *option.flags,
        option.name,
        metavar=option.metavar,
        type=kind,
        multiple=True,
        callback=None if option.multiple else _once,
        help=option.help,
        shell_complete=_completer(option.choices) if option.choices else None,
    )


def _once(_context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> str | None:
    """The one value; two that differ cannot both be meant."""
    if len(set(values)) > 1:
        raise UsageError(
            f"{parameter.opts[0]} is given twice: {option_values.quoted(values[0])}"
            f" and {option_values.quoted(values[-1])}",
            hint="give it once",
        )
    return values[0] if values else None


def _completer(
    choices: Sequence[str],
) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    return lambda _context, _parameter, begun: [each for each in choices if each.startswith(begun)]
