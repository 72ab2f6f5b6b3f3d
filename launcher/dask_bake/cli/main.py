"""Entry point: run a command, and turn its outcome into messages and an exit code."""

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import takewhile
from typing import NoReturn

import click

from dask_bake import __version__
from dask_bake.cli import access, bake, clusters, defects, images, local, reap, setup
from dask_bake.cli.click_types import SectionedGroup
from dask_bake.cli.options import Invocation
from dask_bake.errors import BakeError, LeftoverError, UsageError
from dask_bake.hints import complete
from dask_bake.system.signals import Interrupts
from dask_bake.system.streams import ReportingStream, TolerantStream, escape_unencodable

SECTIONS = {
    "Image": (bake.bake_command, bake.lock_command, images.images_group),
    "Cluster": (
        clusters.launch_command,
        clusters.scale_command,
        clusters.status_command,
        clusters.ssh_command,
        access.run_command,
        access.logs_command,
        access.cp_command,
        access.ssh_config_command,
        clusters.connect_command,
        clusters.ui_command,
        clusters.address_command,
        clusters.allow_me_command,
        clusters.ls_command,
        clusters.extend_command,
        clusters.down_command,
        reap.reap_command,
    ),
    "Local cloud": (local.local_group,),
    "Setup": (setup.config_command, setup.iam_policy_command, setup.completion_command),
}


@click.group(
    cls=SectionedGroup,
    sections={title: tuple(str(each.name) for each in commands) for title, commands in SECTIONS.items()},
    commands=[*(each for commands in SECTIONS.values() for each in commands), clusters.destroy_command],
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="dask-bake")
def cli() -> None:
    """Launch Dask clusters on EC2 from images that you bake.

    \b
      dask-bake bake                          bake an image, once
      dask-bake launch --count 9 --nprocs 8   a head and 8 workers of 8 processes
      dask-bake ssh                           a shell on the head
      dask-bake down                          end the cluster

    Without AWS credentials everything runs on this machine, in the local cloud.
    """


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line, and exit with its code."""
    os.umask(os.umask(0o022) | 0o022)  # others could replace programs in the cache, packages and keys
    interrupts = Interrupts()
    interrupts.listen()
    escape_unencodable(sys.stdout, sys.stderr)
    if sys.stdout is not None:
        sys.stdout = ReportingStream(sys.stdout)
    if sys.stderr is not None:
        sys.stderr = TolerantStream(sys.stderr)
    code = run(arguments, at_end=interrupts.end)
    interrupts.end()
    sys.exit(code)


def run(arguments: Sequence[str] | None = None, *, at_end: Callable[[], None] = lambda: None) -> int:
    """Run the command line, print errors to stderr, and return the exit code."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    invocation = Invocation(is_json="--json" in takewhile(lambda word: word != "--", words))
    try:
        result = cli.main(args=words, prog_name="dask-bake", standalone_mode=False, obj=invocation)
        if not _is_written():
            return 1
    except click.UsageError as error:
        return _print_usage_error(error, invocation)
    except (click.Abort, KeyboardInterrupt) as error:
        at_end()
        if (left := _leftover(error)) is not None:
            return _print_error(left, invocation)
        message, code = "Interrupted; this command has left nothing behind.", 130
        click.echo(message, err=True)
        _print_json(message, None, code, invocation)
        return code
    except Exception as error:  # what is no BakeError is a defect
        at_end()
        found = defects.error_of(error, has_changed=invocation.has_changed)
        if found.defect is not None:
            _record(found, f"dask-bake {words[0] if words else ''}")
        return _print_error(found, invocation)
    return result if isinstance(result, int) else 0


def _is_written() -> bool:
    """Write what is buffered for stdout, and return whether it still has a reader.

    At the interpreter's end an error would be a traceback.
    """
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        return False
    return True


def _record(error: BakeError, command: str) -> None:
    """Store the traceback of the defect behind the error, and add to its hint where it is."""
    assert error.defect is not None  # noqa: S101 - the caller has looked
    where, shown = defects.record(error.defect, command, os.environ)
    click.echo(shown, nl=False, err=True)
    error.hint = f"{error.hint}; {where}" if error.hint else where


def _print_usage_error(error: click.UsageError, invocation: Invocation) -> int:
    """Print click's message for wrong use with a hint; for a group without a command, print its help."""
    message, context = error.format_message(), error.ctx
    if context is not None and message == context.get_help():
        error.show()
        return error.exit_code
    command = "dask-bake" if context is None else context.command_path
    message = " ".join(message.split()).rstrip(".")
    return _print_error(UsageError(message, hint=f"{command} --help shows the usage"), invocation)


def _leftover(error: BaseException | None) -> LeftoverError | None:
    """Return the error that a further interrupt has hidden, if there is one."""
    while error is not None and not isinstance(error, LeftoverError):
        error = error.__context__
    return error


def _print_error(error: BakeError, invocation: Invocation) -> int:
    from dask_bake.view.layout import error_text
    from dask_bake.view.terminal import Terminal

    Terminal().err.print(error_text(error, invocation.flags), soft_wrap=True)
    hint = error.hint and complete(error.hint, invocation.flags)
    _print_json(error.message, hint, error.exit_code, invocation)
    return error.exit_code


def _print_json(message: str, hint: str | None, code: int, invocation: Invocation) -> None:
    """Write the error to stdout as JSON, for a command with ``--json`` that has no result there."""
    from dask_bake.view.terminal import Terminal

    if invocation.is_json and not invocation.has_result:
        with suppress(OSError):
            Terminal().write_json({"error": message, "hint": hint, "exit_code": code})
