"""Options of the command line, made from the same tables as the configuration's settings."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dask_bake.cli.click_types import NodeCommand, OnOffOption, PathText
from dask_bake.errors import UsageError
from dask_bake.hints import flags_of
from dask_bake.options import values as option_values
from dask_bake.options.launch_table import Option
from dask_bake.options.node_words import one_name, split_words
from dask_bake.options.settings_table import CLOUD

if TYPE_CHECKING:
    from dask_bake.view.terminal import Terminal

Command = Callable[..., Any]
Completer = Callable[[click.Context, click.Parameter, str], list[str]]

a_path = click.Path(path_type=Path)
json_option = click.option("--json", "json_output", is_flag=True, help="Print JSON.")
yes_option = click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
dry_run_option = click.option("--dry-run", is_flag=True, help="Show what would be done, and change nothing.")


@dataclass(frozen=True)
class CloudFlags:
    """Options that choose the cloud, as given on the command line."""

    cloud: str | None = None
    region: str | None = None
    profile: str | None = None

    @property
    def flags(self) -> tuple[str, ...]:
        """The same options as arguments of a command line, for commands in hints."""
        return flags_of(cloud=self.cloud, region=self.region, profile=self.profile)


@dataclass
class Invocation:
    """One run of the command line: the options that chose the cloud, and what the command has done.

    ``flags`` complete the commands in an error's hint. The terminals know which AWS operations were called,
    and whether there is a result on stdout.
    """

    is_json: bool = False
    flags: tuple[str, ...] = ()
    terminals: list["Terminal"] = field(default_factory=list)

    @property
    def has_changed(self) -> bool:
        """True once the command has asked AWS to create, change or remove something."""
        return any(terminal.has_changed for terminal in self.terminals)

    @property
    def has_result(self) -> bool:
        """True once the command has written JSON to stdout."""
        return any(terminal.has_written for terminal in self.terminals)


@dataclass(frozen=True)
class ClusterFlags:
    """Arguments that choose a cluster, as given on the command line."""

    cloud: CloudFlags
    name: str | None = None
    file: Path | None = None


def _completer(choices: Sequence[str]) -> Completer:
    return lambda _context, _parameter, begun: [each for each in choices if each.startswith(begun)]


def looked_up(look_up: Callable[[Any, Mapping[str, str | None]], Sequence[str]]) -> Completer:
    """Return a completer of names that the cloud has; in a list with commas, of the last one.

    Args:
        look_up: gets the module ``commands.access.names``, and the options that choose the cloud.
    """

    def complete(context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
        from dask_bake.commands.access import names

        if NodeCommand.WORDS in context.meta:  # after --
            return []
        before, comma, last = begun.rpartition(",")
        found = look_up(names, chosen_cloud(context))
        return [f"{before}{comma}{each}" for each in found if each.startswith(last)]

    return complete


def chosen_cloud(context: click.Context) -> dict[str, str | None]:
    """Return the options that choose the cloud, as far as the command line has them."""
    return {name: context.params.get(name) for name in ("cloud", "region", "profile")}


complete_cluster = looked_up(lambda names, flags: names.cluster_names(flags))
complete_image = looked_up(lambda names, flags: names.image_names(flags))
_complete_types = looked_up(lambda names, flags: names.instance_types(flags))
_COMPLETERS = {
    "type": _complete_types,
    "head_type": _complete_types,
    "image_name": looked_up(lambda names, flags: names.environments(flags)),
    "ami": looked_up(lambda names, flags: names.image_ids(flags)),
}
"""Completers of options whose values the cloud has."""


def complete_cluster_or_node(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    """Return names of clusters as the first word; numbers of nodes after it, or once a digit is typed."""
    words: Sequence[str] = context.params.get("where") or ()
    name = words[0] if words else context.params.get("named")
    if not words and not begun[:1].isdigit():
        return complete_cluster(context, parameter, begun)
    if len(words) > 1 or (name is not None and name[:1].isdigit()):
        return []
    return looked_up(lambda names, flags: names.node_numbers(flags, name))(context, parameter, begun)


def options_of(table: Iterable[Option]) -> Callable[[Command], Command]:
    """Return a decorator that adds the options of a table."""

    def add(command: Command) -> Command:
        for option in reversed(tuple(table)):
            command = _click_option(option)(command)
        return command

    return add


def cloud_options(command: Command) -> Command:
    """Add the options that choose the cloud; the command gets them as ``cloud_flags``."""

    @wraps(command)
    def placed(
        *arguments: Any, cloud: str | None, region: str | None, profile: str | None, **others: Any
    ) -> Any:
        return command(*arguments, cloud_flags=CloudFlags(cloud, region, profile), **others)

    return options_of(CLOUD)(placed)


def cluster_options(command: Command) -> Command:
    """Add the arguments and options that choose a cluster; the command gets them as ``cluster_flags``."""
    flagged = _cluster_flags(command)

    @wraps(flagged)
    def placed(*arguments: Any, name: str | None, named: str | None, **others: Any) -> Any:
        return flagged(*arguments, name=one_name(name, named), **others)

    return click.argument("name", required=False, shell_complete=complete_cluster)(_name_option(placed))


def cluster_node_options(metavar: str) -> Callable[[Command], Command]:
    """Return a decorator that adds ``[NAME] [NODE]``, and the options that choose a cluster.

    The command gets them as ``cluster_flags`` and as ``nodes``, a text.
    """

    def add(command: Command) -> Command:
        flagged = _cluster_flags(command)

        @wraps(flagged)
        def placed(*arguments: Any, where: tuple[str, ...], named: str | None, **others: Any) -> Any:
            name, nodes = split_words(where)
            return flagged(*arguments, name=one_name(name, named), nodes=nodes, **others)

        return click.argument("where", nargs=-1, metavar=metavar, shell_complete=complete_cluster_or_node)(
            _name_option(placed)
        )

    return add


def cluster_choice_options(command: Command) -> Command:
    """Add the options that choose a cluster, for a command whose arguments may name it otherwise."""
    flagged = _cluster_flags(command)

    @wraps(flagged)
    def placed(*arguments: Any, named: str | None, **others: Any) -> Any:
        return flagged(*arguments, name=named, **others)

    return _name_option(placed)


def _name_option(command: Command) -> Command:
    return click.option(
        "--name",
        "named",
        metavar="NAME",
        help="Name of the cluster, as the first word.",
        shell_complete=complete_cluster,
    )(command)


def _cluster_flags(command: Command) -> Command:
    @wraps(command)
    def placed(
        *arguments: Any, name: str | None, file: Path | None, cloud_flags: CloudFlags, **others: Any
    ) -> Any:
        return command(*arguments, cluster_flags=ClusterFlags(cloud_flags, name, file), **others)

    return file_option("Cluster of this file. [default: $CLUSTERFILE]")(cloud_options(placed))


def file_option(help_text: str) -> Callable[[Command], Command]:
    """Return a decorator that adds ``--file``, a file that ``launch --file`` wrote."""
    return click.option("--file", type=a_path, metavar="FILE", help=help_text)


def _click_option(option: Option) -> Callable[[Command], Command]:
    if not option.metavar:
        return click.option(
            *option.flags, option.name, cls=OnOffOption, is_on=option.is_on, default=None, help=option.help
        )
    # Both types keep the text as it is; the option's own parser checks it.
    kind = PathText() if option.parse is option_values.path else click.STRING
    return click.option(
        *option.flags,
        option.name,
        metavar=option.metavar,
        type=kind,
        multiple=True,
        callback=None if option.multiple else _once,
        help=option.help,
        shell_complete=_completer(option.choices) if option.choices else _COMPLETERS.get(option.name),
    )


def _once(_context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> str | None:
    """Return the only value; raise if the option was given with two values."""
    if len(set(values)) > 1:
        raise UsageError(
            f"{parameter.opts[0]} is given twice: {option_values.quoted(values[0])}"
            f" and {option_values.quoted(values[-1])}",
            hint="give it once",
        )
    return values[0] if values else None
