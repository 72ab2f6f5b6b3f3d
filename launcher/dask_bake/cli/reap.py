"""Options of ``dask-bake reap``."""

from pathlib import Path

import click

from dask_bake.cli.options import CloudFlags, cloud_options, dry_run_option, file_option, json_option
from dask_bake.cli.session import cluster_file, open_cloud, open_terminal
from dask_bake.errors import UsageError


@click.command("reap")
@click.option("--all-regions", is_flag=True, help="Search every region of the account.")
@file_option("Only resources of the cluster of this file.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@dry_run_option
@cloud_options
@json_option
def reap_command(
    cloud_flags: CloudFlags,
    *,
    all_regions: bool,
    file: Path | None,
    yes: bool,
    dry_run: bool,
    json_output: bool,
) -> int:
    """Find and remove resources that belong to no living cluster.

    These are the remains of clusters without a head, and of bakes that were killed. A cluster that is
    starting is left alone. Nothing is removed before you confirm it.
    """
    from dask_bake.clouds import LocalCloudDownError
    from dask_bake.commands import reap
    from dask_bake.commands.confirm import check_can_ask

    if file is not None and all_regions:
        raise UsageError(
            "--all-regions searches every region, and --file names a cluster of one region",
            hint="use one of the two",
        )
    check_can_ask(asks=not (yes or dry_run))
    of, cloud_flags = cluster_file(file, cloud_flags, {})
    try:
        terminal, cloud = open_cloud(cloud_flags, start=False)
    except LocalCloudDownError:
        return reap.show_nothing(open_terminal(), json_output=json_output)
    options = reap.ReapOptions(
        file=of, all_regions=all_regions, dry_run=dry_run, asks=not yes, json_output=json_output
    )
    return reap.run(options, cloud, terminal)
