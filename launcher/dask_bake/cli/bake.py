"""``dask-bake bake`` and ``lock``: their options."""

from pathlib import Path
from typing import Any

import click

from dask_bake.cli.options import Command, Where, a_path, cloud_options, json_option, options_of
from dask_bake.cli.session import configuration, environment_options, open_ec2, open_terminal
from dask_bake.options.settings_table import BAKE, ENVIRONMENT


def environment_flags(command: Command) -> Command:
    """Adds the options that say what is in an image."""
    from_env = click.option(
        "--from-env", is_flag=True, help="The packages of the Python that dask-bake runs in."
    )
    return options_of(ENVIRONMENT)(from_env(command))


@click.command("bake")
@environment_flags
@click.option(
    "--lock",
    "lock",
    type=a_path,
    metavar="FILE",
    help="Install just this lock. [default: one kept beside --env]",
)
@options_of(BAKE)
@click.option("--no-verify", is_flag=True, help="Do not boot a cluster from it to see whether it works.")
@click.option(
    "--explain", is_flag=True, help="Say what would be built, and what differs from the newest image."
)
@click.option("--force", is_flag=True, help="Bake even if the image is there.")
@cloud_options
@json_option
def bake_command(
    where: Where,
    *,
    lock: Path | None,
    explain: bool,
    no_verify: bool,
    force: bool,
    json_output: bool,
    **flags: Any,
) -> int:
    """Bake the image that clusters start from."""
    environment = environment_options(flags, lock=lock)
    from dask_bake.bake.options import bake_options
    from dask_bake.commands import bake

    options = bake_options(
        flags, configuration(), architecture=environment.architecture, verify=not no_verify, force=force
    )
    command, terminal = bake.BakeCommand(environment, options, explain, json_output), open_terminal(where)
    return bake.run(command, terminal, lambda base: open_ec2(where, terminal=terminal, base=base)[1:])


@click.command("lock")
@environment_flags
def lock_command(**flags: Any) -> int:
    """Resolve an environment anew, and keep the lock beside it."""
    environment = environment_options(flags)
    from dask_bake.commands import bake

    return bake.lock(environment, open_terminal())
