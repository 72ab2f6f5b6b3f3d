"""The command line: flags in, the command's module imported and run, errors into words and exit codes."""

import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

import click

from dask_bake import __version__
from dask_bake.cli_groups import NodeCommand, SectionedCommand, SectionedGroup
from dask_bake.errors import BakeError
from dask_bake.option_table import OPTIONS
from dask_bake.option_table import SECTIONS as SECTIONS_OF_LAUNCH

if TYPE_CHECKING:
    from dask_bake.ec2 import Ec2
    from dask_bake.environment_options import EnvironmentOptions
    from dask_bake.models import Cloud
    from dask_bake.settings import Settings
    from dask_bake.terminal import Terminal

a_path = click.Path(path_type=Path)
json_option = click.option("--json", "json_output", is_flag=True, help="Print JSON, for a script.")
name_argument = click.argument("name", required=False)
image_argument = click.argument("image", required=False, metavar="[IMAGE]")
dry_run_option = click.option("--dry-run", is_flag=True, help="Show what would be done; do nothing.")
SECTIONS = {
    "Image": ("bake", "lock", "images"),
    "Cluster": ("launch", "status", "ssh", "connect", "allow-me", "ls", "down"),
    "Local cloud": ("local",),
}


def cloud_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options that say where clusters and images are."""
    choice = click.option(
        "--cloud", metavar="CLOUD", help="aws, local, or auto: aws if there are credentials. [default: auto]"
    )
    region = click.option("--region", metavar="REGION", help="AWS region. [default: your AWS settings']")
    return choice(region(command))


def launch_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options of a launch, each as the table tells it."""
    for option in reversed(OPTIONS):
        shape: dict[str, Any] = (
            {"metavar": option.metavar, "type": str, "multiple": option.many}
            if option.metavar
            else {"is_flag": True, "default": None}
        )
        command = click.option(*option.flags, option.name, help=option.help, **shape)(command)
    return command


def environment_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options that say what is in an image."""
    options = (
        click.option(
            "--env", "file", type=a_path, metavar="FILE", help="conda's environment.yml. [default: ours]"
        ),
        click.option("--from-env", is_flag=True, help="The packages of the Python that dask-bake runs in."),
        click.option(
            "--installer", metavar="WHO", help="conda, pip, or auto: whoever can be reached. [default: conda]"
        ),
        click.option(
            "--channel", "channels", multiple=True, metavar="CHANNEL", help="conda channel, before others."
        ),
        click.option("--arch", metavar="ARCH", help="x86_64 or arm64. [default: x86_64]"),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.group(cls=SectionedGroup, sections=SECTIONS, context_settings={"help_option_names": ["-h", "--help"]})
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


@cli.command()
@environment_options
@click.option(
    "--lock",
    "lock",
    type=a_path,
    metavar="FILE",
    help="Install just this lock. [default: one kept beside --env]",
)
@click.option("--base", metavar="AMI", help="Image to start from. [default: the newest Debian 12]")
@click.option("--type", "type", metavar="TYPE", help="EC2 instance type to bake on. [default: m5.large]")
@click.option("--volume-size", type=int, metavar="GIB", help="Size of the root volume. [default: 10]")
@click.option("--kms-key", metavar="KEY", help="KMS key to encrypt with. [default: the account's]")
@click.option("--deprecate-after", type=int, metavar="DAYS", help="0 is never. [default: 365]")
@click.option(
    "--timeout", type=int, metavar="SECONDS", help="What each step in the cloud may take. [default: 3600]"
)
@click.option("--no-verify", is_flag=True, help="Do not boot a cluster from it to see whether it works.")
@click.option(
    "--explain", is_flag=True, help="Say what would be built, and what differs from the newest image."
)
@click.option("--force", is_flag=True, help="Bake even if the image is there.")
@cloud_options
@json_option
def bake(
    cloud: str | None,
    region: str | None,
    *,
    lock: Path | None,
    explain: bool,
    no_verify: bool,
    json_output: bool,
    **flags: Any,
) -> int:
    """Bake the image that clusters start from."""
    environment, rest = _environment(flags, lock=lock)
    from dask_bake import bake_command
    from dask_bake.bake_plan import BakeOptions

    given = {name: value for name, value in rest.items() if value is not None}
    options = BakeOptions(architecture=environment.architecture, verify=not no_verify, **given)
    command = bake_command.BakeCommand(environment, options, explain=explain, json_output=json_output)
    return bake_command.run(command, lambda: _open(cloud, region))


@cli.command()
@environment_options
def lock(**flags: Any) -> int:
    """Resolve an environment anew, and keep the lock beside it."""
    environment, _ = _environment(flags)
    from dask_bake import bake_command

    return bake_command.lock(environment, console=_terminal().out)


@cli.group(invoke_without_command=True)
@cloud_options
@json_option
@click.pass_context
def images(context: click.Context, cloud: str | None, region: str | None, *, json_output: bool) -> int | None:
    """List images; show, diff, prune, remove, copy, share, sbom."""
    if context.invoked_subcommand is not None:
        given = {"cloud": cloud, "region": region, "json_output": json_output or None}
        context.default_map = {context.invoked_subcommand: {k: v for k, v in given.items() if v is not None}}
        return None
    from dask_bake import images_command

    terminal, chosen = _open_cloud(cloud, region)
    return images_command.list_all(chosen, terminal, json_output=json_output)


@images.command("show")
@image_argument
@cloud_options
@json_option
def images_show(image: str | None, cloud: str | None, region: str | None, *, json_output: bool) -> int:
    """Show one image, and all that is in it."""
    from dask_bake import images_command

    terminal, chosen = _open_cloud(cloud, region)
    return images_command.show(chosen, terminal, reference=image, json_output=json_output)


@images.command("diff")
@click.argument("before", metavar="BEFORE")
@click.argument("after", metavar="AFTER")
@cloud_options
@json_option
def images_diff(before: str, after: str, cloud: str | None, region: str | None, *, json_output: bool) -> int:
    """Say what differs between two images: inputs, files, packages."""
    from dask_bake import images_command

    terminal, chosen = _open_cloud(cloud, region)
    return images_command.diff(chosen, terminal, before=before, after=after, json_output=json_output)


@images.command("prune")
@click.option("--keep", type=int, required=True, metavar="N", help="Images to keep of each environment.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@dry_run_option
@cloud_options
@json_option
def images_prune(
    cloud: str | None, region: str | None, *, keep: int, yes: bool, dry_run: bool, json_output: bool
) -> int:
    """Remove old images and their snapshots, but none in use."""
    from dask_bake import images_command

    images_command.check_prune(keep=keep, asks=not (yes or dry_run))
    terminal, chosen = _open_cloud(cloud, region)
    return images_command.prune(
        chosen, terminal, keep=keep, dry_run=dry_run, asks=not yes, json_output=json_output
    )


@images.command("remove")
@click.argument("given", nargs=-1, required=True, metavar="IMAGE...")
@click.option("--yes", is_flag=True, help="Do not ask.")
@dry_run_option
@cloud_options
@json_option
def images_remove(
    cloud: str | None,
    region: str | None,
    *,
    given: tuple[str, ...],
    yes: bool,
    dry_run: bool,
    json_output: bool,
) -> int:
    """Remove these images and their snapshots, but none in use."""
    from dask_bake import images_command

    images_command.check_asking(asks=not (yes or dry_run))
    terminal, chosen = _open_cloud(cloud, region)
    return images_command.remove(
        chosen, terminal, references=given, dry_run=dry_run, asks=not yes, json_output=json_output
    )


@images.command("copy")
@image_argument
@click.option("--to-region", "regions", multiple=True, required=True, metavar="REGION", help="Or several.")
@dry_run_option
@cloud_options
@json_option
def images_copy(
    image: str | None,
    cloud: str | None,
    region: str | None,
    *,
    regions: tuple[str, ...],
    dry_run: bool,
    json_output: bool,
) -> int:
    """Copy an image to other regions, encrypted."""
    from dask_bake import images_command

    terminal, chosen = _open_cloud(cloud, region)
    return images_command.copy(
        chosen, terminal, reference=image, regions=regions, dry_run=dry_run, json_output=json_output
    )


@images.command("share")
@image_argument
@click.option("--with", "accounts", multiple=True, required=True, metavar="ACCOUNT", help="Or several.")
@click.option("--stop", is_flag=True, help="Share it with them no longer.")
@dry_run_option
@cloud_options
@json_option
def images_share(
    image: str | None,
    cloud: str | None,
    region: str | None,
    *,
    accounts: tuple[str, ...],
    stop: bool,
    dry_run: bool,
    json_output: bool,
) -> int:
    """Let other AWS accounts use an image."""
    from dask_bake.image_share_plan import check_accounts

    checked = check_accounts(accounts)
    from dask_bake import images_command

    terminal, chosen = _open_cloud(cloud, region)
    return images_command.share(
        chosen,
        terminal,
        reference=image,
        accounts=checked,
        stop=stop,
        dry_run=dry_run,
        json_output=json_output,
    )


@images.command("sbom")
@image_argument
@cloud_options
def images_sbom(image: str | None, cloud: str | None, region: str | None) -> int:
    """Print what is in an image as CycloneDX JSON."""
    from dask_bake import images_command

    terminal, chosen = _open_cloud(cloud, region)
    return images_command.sbom(chosen, terminal, reference=image)


@cli.command(cls=SectionedCommand, sections=SECTIONS_OF_LAUNCH)
@launch_options
@click.option("--dry-run", is_flag=True, help="Show the calls and the user-data; start nothing.")
@cloud_options
@json_option
def launch(cloud: str | None, region: str | None, *, dry_run: bool, json_output: bool, **flags: Any) -> int:
    """Start a cluster, and wait until every worker has joined."""
    from dask_bake import options

    chosen_options = options.launch_options(flags, _settings())
    from dask_bake import launch_command

    terminal, chosen, ec2 = _open(cloud, region)
    return launch_command.run(chosen_options, chosen, ec2, terminal, dry_run=dry_run, json_output=json_output)


@cli.command()
@name_argument
@cloud_options
@json_option
def status(name: str | None, cloud: str | None, region: str | None, *, json_output: bool) -> int:
    """Show a cluster's nodes and workers."""
    from dask_bake import cluster_command

    terminal, chosen, ec2 = _open(cloud, region, start=False)
    return cluster_command.status(chosen, ec2, terminal, name=name, json_output=json_output)


@cli.command(cls=NodeCommand)
@click.argument("node", type=click.IntRange(min=0), default=0, metavar="[NODE]")
@click.option("--name", metavar="NAME", help="The cluster, if there is more than one.")
@cloud_options
@click.pass_context
def ssh(context: click.Context, node: int, name: str | None, cloud: str | None, region: str | None) -> int:
    """Open a shell on a node, or run a command there.

    NODE 0, the default, is the head. What follows -- is run there; its output and exit code are handed on.
    """
    from dask_bake import cluster_command

    _, chosen, ec2 = _open(cloud, region, start=False)
    words = context.meta.get(NodeCommand.WORDS, ())
    return cluster_command.shell(chosen, ec2, name=name, index=node, words=words)


@cli.command()
@name_argument
@cloud_options
@json_option
def connect(name: str | None, cloud: str | None, region: str | None, *, json_output: bool) -> int:
    """Open the dashboard and JupyterLab here, until Ctrl-C."""
    from dask_bake import cluster_command

    terminal, chosen, ec2 = _open(cloud, region, start=False)
    return cluster_command.connect(chosen, ec2, terminal, name=name, json_output=json_output)


@cli.command("allow-me")
@name_argument
@click.option("--cidr", multiple=True, metavar="CIDR,…", help="Let these in instead. [default: this machine]")
@click.option("--allow-wide-cidr", is_flag=True, help="Take a --cidr that is wider than /24.")
@dry_run_option
@cloud_options
@json_option
def allow_me(
    name: str | None,
    cloud: str | None,
    region: str | None,
    *,
    cidr: tuple[str, ...],
    allow_wide_cidr: bool,
    dry_run: bool,
    json_output: bool,
) -> int:
    """Let this machine in again, after its address has changed."""
    from dask_bake import option_values

    blocks = option_values.networks(cidr, "--cidr") if cidr else ()
    from dask_bake import allow_me_command
    from dask_bake.clouds import caller_address

    terminal, chosen, ec2 = _open(cloud, region, start=False)
    return allow_me_command.run(
        chosen,
        ec2,
        terminal,
        lambda: caller_address(chosen),
        name=name,
        cidr=blocks,
        allow_wide_cidr=allow_wide_cidr,
        dry_run=dry_run,
        json_output=json_output,
    )


@cli.command()
@cloud_options
@json_option
def ls(cloud: str | None, region: str | None, *, json_output: bool) -> int:
    """List the clusters."""
    from dask_bake import cluster_command
    from dask_bake.clouds import LocalCloudDownError
    from dask_bake.terminal import Terminal

    try:
        terminal, chosen, ec2 = _open(cloud, region, start=False)
    except LocalCloudDownError:
        return cluster_command.show_list((), Terminal(), json_output=json_output)
    return cluster_command.list_all(chosen, ec2, terminal, json_output=json_output)


@cli.command()
@name_argument
@cloud_options
@json_option
def down(name: str | None, cloud: str | None, region: str | None, *, json_output: bool) -> int:
    """End a cluster; nothing of it is left."""
    from dask_bake import cluster_command

    terminal, chosen, ec2 = _open(cloud, region, start=False)
    return cluster_command.down(chosen, ec2, terminal, name=name, json_output=json_output)


@cli.group()
def local() -> None:
    """The EC2 on this machine: up, down, status, doctor, env."""


@local.command("up")
@json_option
def local_up(*, json_output: bool) -> int:
    """Start the local cloud."""
    from dask_bake import local_command

    return local_command.up(_terminal(), json_output=json_output)


@local.command("down")
def local_down() -> int:
    """End the local cloud and its instances; its images stay."""
    from dask_bake import local_command

    return local_command.down(_terminal())


@local.command("status")
@json_option
def local_status(*, json_output: bool) -> int:
    """Say whether and where the local cloud runs."""
    from dask_bake import local_command

    return local_command.status(_terminal(), json_output=json_output)


@local.command("doctor")
@json_option
def local_doctor(*, json_output: bool) -> int:
    """Say what is missing on this machine, or left over."""
    from dask_bake import local_command

    return local_command.doctor(_terminal(), json_output=json_output)


@local.command("env")
@click.option("--region", metavar="REGION", help="AWS region to name. [default: us-east-1]")
def local_env(region: str | None) -> int:
    """Print the variables with which other AWS tools use it."""
    from dask_bake import local_command

    return local_command.env(_terminal(), region=region)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command line, and exits with its code."""
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGHUP, _hang_up)
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """The exit code of the command line; what went wrong for the user is said on stderr."""
    try:
        result = cli.main(args=None if arguments is None else list(arguments), standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted; nothing of this command is left.", err=True)
        return 130
    except BakeError as error:
        from dask_bake import view
        from dask_bake.terminal import Terminal

        Terminal().err.print(view.error_text(error), soft_wrap=True)
        return error.exit_code
    return result if isinstance(result, int) else 0


def _open(cloud: str | None, region: str | None, *, start: bool = True) -> "tuple[Terminal, Cloud, Ec2]":
    from dask_bake import ec2

    terminal, chosen = _open_cloud(cloud, region, start=start)
    return terminal, chosen, ec2.connect(chosen, terminal.notify)


def _open_cloud(cloud: str | None, region: str | None, *, start: bool = True) -> "tuple[Terminal, Cloud]":
    from dask_bake.clouds import open_cloud
    from dask_bake.options import cloud_choice

    settings, terminal = _settings(), _terminal()
    choice = cloud_choice(cloud, os.environ, settings)
    with terminal.working():
        chosen = open_cloud(choice, region or settings.region, notify=terminal.notify, start=start)
    return terminal, chosen


def _environment(
    flags: dict[str, Any], *, lock: Path | None = None
) -> "tuple[EnvironmentOptions, dict[str, Any]]":
    """The options of the environment, and the other flags."""
    from dask_bake.environment_options import environment_options

    names = ("file", "from_env", "installer", "channels", "arch")
    own = {name: flags[name] for name in names}
    rest = {name: value for name, value in flags.items() if name not in names}
    return environment_options(own, lock=lock, environ=os.environ, settings=_settings()), rest


def _settings() -> "Settings":
    from dask_bake.settings import read_settings, settings_path

    return read_settings(settings_path(os.environ))


def _terminal() -> "Terminal":
    from dask_bake.terminal import Terminal

    return Terminal()


def _hang_up(number: int, frame: FrameType | None) -> NoReturn:
    """The terminal has gone: what is said is said to nobody, and what is left is cleared away."""
    nobody = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nobody, stream)
    _interrupt(number, frame)


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
