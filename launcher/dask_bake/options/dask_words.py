"""Which words Dask's own commands take: those of the distributed that is installed here."""

from collections.abc import Sequence

import click

from dask_bake.errors import UsageError
from dask_bake.options.values import shortened, shown

ENDS_IT = ("--help", "--version")


def check_words(flag: str, words: Sequence[str], command: str) -> None:
    """Refuses what ``dask worker`` or ``dask scheduler`` would refuse, or not go on after."""
    known = _command(command)
    for word in words:
        if word in ENDS_IT:
            raise UsageError(f"{flag} holds {word}, after which dask {command} ends", hint="leave it out")
    context = click.Context(known, info_name=known.name)
    parser = known.make_parser(context)
    parser.ignore_unknown_options = False
    try:
        values, _, _ = parser.parse_args(list(words))
        for option in known.params:
            if isinstance(option, click.Option) and option.name in values:
                option.type_cast_value(context, values[option.name])
    except click.UsageError as error:
        raise UsageError(
            f"{flag} would be refused by dask {command}: {shortened(error.format_message())}",
            hint=f"dask {command} --help tells what there is",
        ) from None
    for argument in known.params:
        if isinstance(argument, click.Argument) and isinstance(values.get(argument.name), str | tuple | list):
            stray = values[argument.name]
            word = stray if isinstance(stray, str) else stray[0]
            raise UsageError(
                f"{flag} holds {shown(word)}, which belongs to no option", hint=f"{flag} '--name value …'"
            )


def _command(name: str) -> click.Command:
    if name == "worker":
        from distributed.cli.dask_worker import main
    else:
        from distributed.cli.dask_scheduler import main
    found: click.Command = main
    return found
