"""Entry point: run a command, and turn its outcome into messages and an exit code."""

import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

import click

from dask_bake import __version__
from dask_bake.cli import bake, clusters, images, local, reap, setup
from dask_bake.cli.click_types import SectionedGroup
from dask_bake.cli.options import TypedFlags
from dask_bake.errors import BakeError, LeftoverError, UsageError
from dask_bake.system.signals import Interrupts
from dask_bake.system.streams import TolerantStream, escape_unencodable

SECTIONS = {
    "Image": (bake.bake_command, bake.lock_command, images.images_group),
    "Cluster": (
        clusters.launch_command,
        clusters.status_command,
        clusters.ssh_command,
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
    interrupts = Interrupts()
    interrupts.listen()
    escape_unencodable(sys.stdout, sys.stderr)
    if sys.stderr is not None:
        sys.stderr = TolerantStream(sys.stderr)
    code = run(arguments, at_end=interrupts.end)
    interrupts.end()
    sys.exit(code)


def run(arguments: Sequence[str] | None = None, *, at_end: Callable[[], None] = lambda: None) -> int:
    """Run the command line, print errors to stderr, and return the exit code."""
    typed = TypedFlags()
    try:
        result = cli.main(
            args=None if arguments is None else list(arguments),
            prog_name="dask-bake",
            standalone_mode=False,
            obj=typed,
        )
    except click.UsageError as error:
        return _print_usage_error(error)
    except (click.Abort, KeyboardInterrupt) as error:
        at_end()
        if (left := _leftover(error)) is not None:
            return _print_error(left, typed.flags)
        click.echo("Interrupted; this command has left nothing behind.", err=True)
        return 130
    except BakeError as error:
        at_end()
        return _print_error(error, typed.flags)
    return result if isinstance(result, int) else 0


def _print_usage_error(error: click.UsageError) -> int:
    """Print click's message for wrong use with a hint; for a group without a command, print its help."""
    message, context = error.format_message(), error.ctx
    if context is not None and message == context.get_help():
        error.show()
        return error.exit_code
    command = "dask-bake" if context is None else context.command_path
    message = " ".join(message.split()).rstrip(".")
    return _print_error(UsageError(message, hint=f"{command} --help shows the usage"))


def _leftover(error: BaseException | None) -> LeftoverError | None:
    """Return the error that a further interrupt has hidden, if there is one."""
    while error is not None and not isinstance(error, LeftoverError):
        error = error.__context__
    return error


def _print_error(error: BakeError, flags: Sequence[str] = ()) -> int:
    from dask_bake.view.layout import error_text
    from dask_bake.view.terminal import Terminal

    Terminal().err.print(error_text(error, flags), soft_wrap=True)
    return error.exit_code
