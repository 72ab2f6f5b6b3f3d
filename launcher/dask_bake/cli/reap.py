"""``dask-bake reap``: its options."""

from pathlib import Path

import click

from dask_bake.cli.options import Where, cloud_options, dry_run_option, file_option, json_option
from dask_bake.cli.session import cluster_file, open_cloud, open_terminal
from dask_bake.errors import UsageError


@click.command("reap")
@click.option("--all-regions", is_flag=True, help="Look in every region of the account.")
@file_option("What is left of the cluster of this file alone.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@dry_run_option
@cloud_options
@json_option
def reap_command(
    where: Where, *, all_regions: bool, file: Path | None, yes: bool, dry_run: bool, json_output: bool
) -> int:
    """Find what belongs to no living cluster, and remove it.

    That is what is left of clusters without a head, and of bakes that were killed. A cluster that starts just
    now is left alone. Nothing is removed before you were asked.
    """
    from dask_bake.clouds import LocalCloudDownError
    from dask_bake.commands import reap
    from dask_bake.commands.confirm import check_can_ask

    if file is not None and all_regions:
        raise UsageError(
            "--all-regions looks everywhere, and --file at one cluster in one region",
            hint="give one of the two",
        )
    check_can_ask(asks=not (yes or dry_run))
    of, where = cluster_file(file, where, {})
    try:
        terminal, cloud = open_cloud(where, start=False)
    except LocalCloudDownError:
        return reap.show_nothing(open_terminal(), json_output=json_output)
    options = reap.ReapOptions(
        file=of, all_regions=all_regions, dry_run=dry_run, asks=not yes, json_output=json_output
    )
    return reap.run(options, cloud, terminal)
