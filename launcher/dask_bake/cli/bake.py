"""Options of ``dask-bake bake`` and ``lock``."""

from pathlib import Path
from typing import Any

import click

from dask_bake.cli.options import CloudFlags, Command, a_path, cloud_options, json_option, options_of
from dask_bake.cli.session import configuration, environment_options, open_ec2, open_terminal
from dask_bake.options.settings_table import BAKE, ENVIRONMENT


def environment_flags(command: Command) -> Command:
    """Add the options that choose the environment of an image."""
    from_env = click.option(
        "--from-env", is_flag=True, help="Use the packages of the Python that dask-bake runs in."
    )
    return options_of(ENVIRONMENT)(from_env(command))


@click.command("bake")
@environment_flags
@click.option(
    "--lock",
    "lock",
    type=a_path,
    metavar="FILE",
    help="Lock file to install. [default: the one beside --env]",
)
@options_of(BAKE)
@click.option("--no-verify", is_flag=True, help="Do not verify the image by booting a cluster from it.")
@click.option(
    "--explain", is_flag=True, help="Show what would be built, and the differences from the newest image."
)
@click.option("--force", is_flag=True, help="Bake even if the image exists.")
@cloud_options
@json_option
def bake_command(
    cloud_flags: CloudFlags,
    *,
    lock: Path | None,
    explain: bool,
    no_verify: bool,
    force: bool,
    json_output: bool,
    **flags: Any,
) -> int:
    """Bake the image that clusters are launched from."""
    environment = environment_options(flags, lock=lock)
    from dask_bake.bake.options import bake_options
    from dask_bake.commands import bake

    options = bake_options(
        flags, configuration(), architecture=environment.architecture, verify=not no_verify, force=force
    )
    command, terminal = (
        bake.BakeCommand(environment, options, explain, json_output),
        open_terminal(cloud_flags),
    )
    return bake.run(command, terminal, lambda base: open_ec2(cloud_flags, terminal=terminal, base=base)[1:])


@click.command("lock")
@environment_flags
def lock_command(**flags: Any) -> int:
    """Resolve an environment, and write its lock files."""
    environment = environment_options(flags)
    from dask_bake.commands import bake

    return bake.lock(environment, open_terminal())
