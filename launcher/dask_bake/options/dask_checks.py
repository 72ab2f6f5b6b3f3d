"""What Dask is told: amounts, words, modules and variables, and whether anything would tell it."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import click

from dask_bake.errors import UsageError
from dask_bake.options.launch import LaunchOptions
from dask_bake.options.text_files import read_text
from dask_bake.options.values import flag_of, shortened, shown

MEMORY = re.compile(r"auto|\d+(\.\d+)?(e\d+)? *([kmgtp]i?)?b?", re.IGNORECASE)
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
ITSELF = "dask-bake sees to that itself"
OURS_OF_WORKER = {
    "--nworkers": "--nprocs does that",
    "--nprocs": "--nprocs does that",
    "--nthreads": "--nthreads does that",
    "--memory-limit": "--memory-limit does that",
    "--preload": "--preload does that",
    "--name": "each worker is called by its address, for two of one name cannot join",
    "--scheduler-file": ITSELF,
    "--host": ITSELF,
    "--tls-ca-file": "--tls does that",
    "--tls-cert": "--tls does that",
    "--tls-key": "--tls does that",
}
OURS_OF_SCHEDULER = {
    "--port": ITSELF,
    "--host": ITSELF,
    "--dashboard-address": ITSELF,
    "--no-dashboard": ITSELF,
    "--jupyter": "--notebook does that",
    "--tls-ca-file": "--tls does that",
    "--tls-cert": "--tls does that",
    "--tls-key": "--tls does that",
}
ENDS_IT = ("--help", "--version")
OF_ONE_PROCESS = ("--no-nanny", "--listen-address")
TOLD_BY_USER_DATA = (
    "worker_options",
    "scheduler_options",
    "preload",
    "env",
    "user_data",
    "tls",
    "nthreads",
    "memory_limit",
    "max_lifetime",
    "idle_timeout",
    "keep_on_failure",
)
FOR_DASK = (
    "worker_options",
    "scheduler_options",
    "preload",
    "tls",
    "min_workers",
    "nprocs",
    "nthreads",
    "memory_limit",
    "idle_timeout",
)
SAYS_NOTHING = (None, "", (), False, "auto")


def check_dask(options: LaunchOptions) -> None:
    """Raises a ``UsageError`` for the first thing that Dask would not take, or not be told."""
    if not MEMORY.fullmatch(options.memory_limit):
        raise UsageError(
            f"--memory-limit is {shown(options.memory_limit)}, which is no amount of memory",
            hint="4GiB, 0.2 (of the node's), auto, or 0 for no limit",
        )
    _check_told(options)
    words = _words("--worker-options", options.worker_options, OURS_OF_WORKER, "worker")
    single = [word for word in words if word.partition("=")[0] in OF_ONE_PROCESS]
    if single and options.nprocs != 1:
        raise UsageError(
            f"--worker-options holds {single[0]}, which dask worker takes for one process alone",
            hint="--nprocs 1, or leave it out",
        )
    _words("--scheduler-options", options.scheduler_options, OURS_OF_SCHEDULER, "scheduler")
    for key, value in options.env:
        if not VARIABLE.fullmatch(key):
            raise UsageError(
                f"--env {shown(key)}: that cannot be the name of a variable",
                hint="use letters, digits and '_'",
            )
        if not value.isprintable():
            raise UsageError(f"--env {key}: its value holds a control character", hint="write it on one line")
    _check_preloads(options.preload)


def _check_told(options: LaunchOptions) -> None:
    defaults = {field.name: field.default for field in fields(options)}
    given = {
        name
        for name in (*TOLD_BY_USER_DATA, *FOR_DASK)
        if (value := getattr(options, name)) not in SAYS_NOTHING and value != defaults[name]
    }
    if not options.provision and (unheard := [name for name in TOLD_BY_USER_DATA if name in given]):
        raise UsageError(
            f"--no-provision gives the nodes no user-data, and {flag_of(unheard[0])} is told to them by it",
            hint="leave one of the two out",
        )
    if not options.runs_dask and (unused := [name for name in FOR_DASK if name in given]):
        switch = "--no-dask" if options.provision else "--no-provision"
        raise UsageError(
            f"{switch} starts no Dask, and {flag_of(unused[0])} is for Dask", hint="leave one of the two out"
        )


def _words(flag: str, text: str, ours: dict[str, str], command: str) -> list[str]:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"{flag} cannot be split into words: {error}", hint="close the quotation") from None
    for word in words:
        name = word.partition("=")[0]
        if name in ours:
            raise UsageError(f"{flag} holds {name}", hint=ours[name])
    if words:
        _check_known(flag, words, command)
    return words


def _check_preloads(preloads: tuple[str, ...]) -> None:
    files: dict[str, str] = {}
    for preload in preloads:
        if preload.endswith(".py"):
            read_text(Path(preload), "--preload")
            other = files.setdefault(Path(preload).name, preload)
            if other != preload:
                raise UsageError(
                    f"--preload {preload} and {other} have one name, by which the nodes keep them",
                    hint="rename one of them",
                )
        elif not MODULE.fullmatch(preload):
            raise UsageError(
                f"--preload is {shown(preload)}, which is no module",
                hint="package.module, or a file that ends in .py",
            )


def _check_known(flag: str, words: Sequence[str], command: str) -> None:
    """Refuses what ``dask worker`` or ``dask scheduler`` would refuse, or not go on after."""
    known = _dask_command(command)
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


def _dask_command(name: str) -> click.Command:
    if name == "worker":
        from distributed.cli.dask_worker import main
    else:
        from distributed.cli.dask_scheduler import main
    found: click.Command = main
    return found
