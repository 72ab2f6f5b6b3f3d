"""The command line: flags in, the command's module imported and run, errors into words and exit codes."""

import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

import click

from dask_bake import __version__
from dask_bake.cli import bake, clusters, images, local, reap, setup
from dask_bake.cli.click_types import SectionedGroup
from dask_bake.cli.options import Typed
from dask_bake.errors import BakeError, LeftoverError, UsageError
from dask_bake.system.signals import Interrupts
from dask_bake.system.streams import Lossy

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
    """A Dask cluster on EC2, from an image you baked.

    \b
      dask-bake bake                          once
      dask-bake launch --count 9 --nprocs 8   a head and 8 workers of 8 processes
      dask-bake ssh                           a shell on the head
      dask-bake down                          nothing is left

    Without AWS credentials all of it happens on this machine.
    """


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command line, and exits with its code."""
    interrupts = Interrupts()
    interrupts.listen()
    if sys.stderr is not None:
        sys.stderr = Lossy(sys.stderr)
    code = run(arguments, at_end=interrupts.end)
    interrupts.end()
    sys.exit(code)


def run(arguments: Sequence[str] | None = None, *, at_end: Callable[[], None] = lambda: None) -> int:
    """The exit code of the command line; what went wrong for the user is said on stderr."""
    typed = Typed()
    try:
        result = cli.main(
            args=None if arguments is None else list(arguments),
            prog_name="dask-bake",
            standalone_mode=False,
            obj=typed,
        )
    except click.UsageError as error:
        return _say_click(error)
    except (click.Abort, KeyboardInterrupt) as error:
        at_end()
        if (left := _leftover(error)) is not None:
            return _tell(left, typed.flags)
        click.echo("Interrupted; nothing of this command is left.", err=True)
        return 130
    except BakeError as error:
        at_end()
        return _tell(error, typed.flags)
    return result if isinstance(result, int) else 0


def _say_click(error: click.UsageError) -> int:
    """click's words for wrong use, with our way out; a group without a command shows its help."""
    said, context = error.format_message(), error.ctx
    if context is not None and said == context.get_help():
        error.show()
        return error.exit_code
    command = "dask-bake" if context is None else context.command_path
    sentence = " ".join(said.split()).rstrip(".")
    return _tell(UsageError(sentence, hint=f"{command} --help tells what there is"))


def _leftover(error: BaseException | None) -> LeftoverError | None:
    """What was to be said when one more interrupt came."""
    while error is not None and not isinstance(error, LeftoverError):
        error = error.__context__
    return error


def _tell(error: BakeError, flags: Sequence[str] = ()) -> int:
    from dask_bake.view.layout import error_text
    from dask_bake.view.terminal import Terminal

    Terminal().err.print(error_text(error, flags), soft_wrap=True)
    return error.exit_code
