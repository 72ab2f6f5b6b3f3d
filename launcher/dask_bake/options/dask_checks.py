"""Checks of the options for Dask, against the version of distributed that is installed here."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import click

from dask_bake.errors import UsageError
from dask_bake.models.cloud import CredentialSource
from dask_bake.options.launch import LaunchOptions
from dask_bake.options.text_files import read_text
from dask_bake.options.values import flag_of, quoted, truncated

MEMORY = re.compile(r"auto|\d+(\.\d+)?(e\d+)? *([kmgtp]i?)?b?", re.IGNORECASE)
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
MODULE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
SET_BY_DASK_BAKE = "dask-bake sets it"
TLS_OPTIONS = dict.fromkeys(("--tls-ca-file", "--tls-cert", "--tls-key"), "use --tls")
RESERVED_FOR_WORKER = {
    "--nworkers": "use --nprocs",
    "--nprocs": "use --nprocs",
    "--nthreads": "use --nthreads",
    "--memory-limit": "use --memory-limit",
    "--preload": "use --preload",
    "--name": "each worker is named by its address, as names must be unique",
    "--scheduler-file": SET_BY_DASK_BAKE,
    "--host": SET_BY_DASK_BAKE,
    **TLS_OPTIONS,
}
RESERVED_FOR_SCHEDULER = {
    "--port": SET_BY_DASK_BAKE,
    "--host": SET_BY_DASK_BAKE,
    "--dashboard-address": SET_BY_DASK_BAKE,
    "--no-dashboard": SET_BY_DASK_BAKE,
    "--jupyter": "use --notebook",
    **TLS_OPTIONS,
}
SINGLE_PROCESS = ("--no-nanny", "--listen-address")
"""Options that ``dask worker`` accepts for a single worker process only."""
EXITS = ("--help", "--version")
NEED_USER_DATA = (
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
    "credentials",
)
NEED_DASK = (
    "worker_options",
    "scheduler_options",
    "preload",
    "tls",
    "min_workers",
    "nprocs",
    "nthreads",
    "memory_limit",
    "keep_size",
    "idle_timeout",
    "credentials",
)
UNSET = (None, "", (), False, "auto", CredentialSource.NONE)


def check_dask(options: LaunchOptions) -> None:
    """Raise a ``UsageError`` for the first option that Dask would refuse or never receive."""
    if not MEMORY.fullmatch(options.memory_limit):
        raise UsageError(
            f"--memory-limit: {quoted(options.memory_limit)} is not an amount of memory",
            hint="4GiB, 0.2 (of the node's memory), auto, or 0 for no limit",
        )
    _check_unused(options)
    words = _split("--worker-options", options.worker_options, RESERVED_FOR_WORKER, "worker")
    single = [word for word in words if word.partition("=")[0] in SINGLE_PROCESS]
    if single and options.nprocs != 1:
        raise UsageError(
            f"--worker-options contains {single[0]}, which dask worker accepts for one process only",
            hint="use --nprocs 1, or leave it out",
        )
    _split("--scheduler-options", options.scheduler_options, RESERVED_FOR_SCHEDULER, "scheduler")
    _check_variables(options.env)
    _check_preloads(options.preload)


def _check_unused(options: LaunchOptions) -> None:
    """Check that no option is given that has no effect without user-data or without Dask."""
    defaults = {field.name: field.default for field in fields(options)}
    given = {
        name
        for name in (*NEED_USER_DATA, *NEED_DASK)
        if (value := getattr(options, name)) not in UNSET and value != defaults[name]
    }
    hint = "give one of the two"
    if not options.provision and (unused := [name for name in NEED_USER_DATA if name in given]):
        raise UsageError(
            f"--no-provision passes no user-data to the nodes, and {flag_of(unused[0])} requires it",
            hint=hint,
        )
    if not options.runs_dask and (unused := [name for name in NEED_DASK if name in given]):
        switch = "--no-dask" if options.provision else "--no-provision"
        raise UsageError(f"{switch} starts no Dask, and {flag_of(unused[0])} requires it", hint=hint)


def _check_variables(variables: Sequence[tuple[str, str]]) -> None:
    for key, value in variables:
        if not VARIABLE.fullmatch(key):
            raise UsageError(
                f"--env: {quoted(key)} is not a valid variable name", hint="use letters, digits and '_'"
            )
        if not value.isprintable():
            raise UsageError(
                f"--env {key}: the value contains a control character", hint="write it on one line"
            )


def _check_preloads(preloads: Sequence[str]) -> None:
    files: dict[str, str] = {}
    for preload in preloads:
        if preload.endswith(".py"):
            read_text(Path(preload), "--preload")
            other = files.setdefault(Path(preload).name, preload)
            if other != preload:
                raise UsageError(
                    f"--preload {preload} and {other} have the same file name", hint="rename one of them"
                )
        elif not MODULE.fullmatch(preload):
            raise UsageError(
                f"--preload: {quoted(preload)} is not a module name",
                hint="package.module, or a file that ends in .py",
            )


def _split(flag: str, text: str, reserved: dict[str, str], command: str) -> list[str]:
    """Split the option's text into arguments, and check them."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(
            f"{flag} cannot be split into arguments: {error}", hint="close the quotation"
        ) from None
    for word in words:
        name = word.partition("=")[0]
        if name in reserved:
            raise UsageError(f"{flag} cannot contain {name}", hint=reserved[name])
        if word in EXITS:
            raise UsageError(f"{flag} cannot contain {word}: dask {command} would exit", hint="leave it out")
    if words:
        _check_arguments(flag, words, command)
    return words


def _check_arguments(flag: str, words: Sequence[str], command: str) -> None:
    """Parse the arguments as ``dask worker`` or ``dask scheduler`` does, without running it."""
    known = _dask_command(command)
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
            f"{flag} would be refused by dask {command}: {truncated(error.format_message())}",
            hint=f"dask {command} --help lists its options",
        ) from None
    for argument in known.params:
        if isinstance(argument, click.Argument) and isinstance(values.get(argument.name), str | tuple | list):
            extra = values[argument.name]
            raise UsageError(
                f"{flag} has an unexpected argument: {quoted(extra if isinstance(extra, str) else extra[0])}",
                hint=f"{flag} '--name value …'",
            )


def _dask_command(name: str) -> click.Command:
    # Imported on use: importing distributed takes most of a second.
    if name == "worker":
        from distributed.cli.dask_worker import main
    else:
        from distributed.cli.dask_scheduler import main
    found: click.Command = main
    return found
