"""``dask-bake launch``, and the commands for a cluster that is there: their options."""

from pathlib import Path
from typing import Any

import click

from dask_bake.cli.click_types import NodeCommand, SectionedCommand
from dask_bake.cli.options import (
    Where,
    Which,
    cloud_options,
    cluster_file_option,
    cluster_options,
    file_option,
    json_option,
    options_of,
)
from dask_bake.cli.session import launch_options, open_cluster, open_ec2, open_terminal
from dask_bake.hints import command_line, complete
from dask_bake.options.launch_table import OPTIONS, SECTIONS
from dask_bake.system.signals import outlive_terminal

yes_option = click.option(
    "-y", "--yes", is_flag=True, expose_value=False, help="For scripts of dask-ec2: nothing is asked anyway."
)


@click.command("launch", cls=SectionedCommand, sections=SECTIONS)
@options_of(OPTIONS)
@click.option("--dry-run", is_flag=True, help="Show the calls and the user-data; start nothing.")
@cloud_options
@json_option
def launch_command(where: Where, *, dry_run: bool, json_output: bool, **flags: Any) -> int:
    """Start a cluster, and wait until every worker has joined.

    Every option can be configured, below bake: in dask's files; see dask-bake config. What a switch turns on
    there is denied with --no-, as in --no-spot.
    """
    options = launch_options(flags)
    from dask_bake.commands import launch

    terminal, cloud, ec2 = open_ec2(where)
    return launch.run(options, cloud, ec2, terminal, dry_run=dry_run, json_output=json_output)


@click.command("status")
@cluster_options
@json_option
def status_command(which: Which, *, json_output: bool) -> int:
    """Show a cluster's nodes and workers."""
    from dask_bake.commands import clusters

    here = open_cluster(which)
    return clusters.status(here.cloud, here.ec2, here.terminal, name=here.name, json_output=json_output)


@click.command("ssh", cls=NodeCommand)
@click.argument("node", type=click.IntRange(min=0), default=0, metavar="[NODE]")
@click.option("--name", metavar="NAME", help="The cluster, if there is more than one.")
@cluster_file_option
@click.pass_context
def ssh_command(context: click.Context, node: int, which: Which) -> int:
    """Open a shell on a node, or run a command there.

    NODE 0, the default, is the head. What follows -- is run there; its output and exit code are handed on.
    """
    from dask_bake.commands import connect

    here = open_cluster(which)
    words = context.meta.get(NodeCommand.WORDS, ())
    return connect.shell(here.cloud, here.ec2, name=here.name, index=node, words=words)


@click.command("connect")
@cluster_options
@json_option
def connect_command(which: Which, *, json_output: bool) -> int:
    """Open the dashboard and JupyterLab here, until Ctrl-C."""
    from dask_bake.commands import connect

    here = open_cluster(which)
    return connect.connect(here.cloud, here.ec2, here.terminal, name=here.name, json_output=json_output)


@click.command("ui")
@cluster_options
def ui_command(which: Which) -> int:
    """Open the dashboard in a browser, until Ctrl-C."""
    import webbrowser

    from dask_bake.commands import connect

    here = open_cluster(which)
    return connect.connect(
        here.cloud, here.ec2, here.terminal, name=here.name, json_output=False, open_page=webbrowser.open
    )


@click.command("address")
@cluster_options
@json_option
def address_command(which: Which, *, json_output: bool) -> int:
    """Print a cluster's addresses, and how to use them."""
    from dask_bake.commands import clusters

    here = open_cluster(which)
    return clusters.address(here.cloud, here.ec2, here.terminal, name=here.name, json_output=json_output)


@click.command("allow-me")
@cluster_options
@click.option("--cidr", multiple=True, metavar="CIDR,…", help="Let these in instead. [default: this machine]")
@click.option("--allow-wide-cidr", is_flag=True, help="Take a --cidr that is wider than /24.")
@click.option("--dry-run", is_flag=True, help="Show what would be done; do nothing.")
@json_option
def allow_me_command(
    which: Which, *, cidr: tuple[str, ...], allow_wide_cidr: bool, dry_run: bool, json_output: bool
) -> int:
    """Let this machine in again, after its address has changed."""
    from dask_bake.options import values

    blocks = values.networks(cidr, "--cidr") if cidr else ()
    from dask_bake.clouds import caller_address
    from dask_bake.commands import allow_me

    here = open_cluster(which)
    options = allow_me.AllowMeOptions(
        name=here.name,
        cidr=blocks,
        allow_wide_cidr=allow_wide_cidr,
        dry_run=dry_run,
        json_output=json_output,
    )
    return allow_me.run(options, here.cloud, here.ec2, here.terminal, lambda: caller_address(here.cloud))


@click.command("ls")
@file_option("The cluster of this file alone.")
@cloud_options
@json_option
def ls_command(where: Where, *, file: Path | None, json_output: bool) -> int:
    """List the clusters."""
    from dask_bake.clouds import LocalCloudDownError
    from dask_bake.commands import clusters

    if file is not None:
        from dask_bake.clusters.inventory import find

        here = open_cluster(Which(where, file=file))
        found = find(here.ec2, here.cloud, here.name)
        return clusters.show_list((found,), here.terminal, json_output=json_output)
    try:
        terminal, cloud, ec2 = open_ec2(where, start=False)
    except LocalCloudDownError:
        return clusters.show_list((), open_terminal(), json_output=json_output)
    return clusters.list_all(cloud, ec2, terminal, json_output=json_output)


@click.command("extend")
@cluster_options
@click.option("--by", metavar="TIME", default="2h", help="How much: 90m, 2h. [default: 2h]")
@json_option
def extend_command(which: Which, *, by: str, json_output: bool) -> int:
    """Put off the end of a cluster that would end itself.

    Its lifetime is longer by that much, and for that long it is not idle.
    """
    from dask_bake.commands import clusters
    from dask_bake.options.values import duration

    seconds, here = duration(by, "--by"), open_cluster(which)
    return clusters.extend(
        here.cloud, here.ec2, here.terminal, name=here.name, seconds=seconds, json_output=json_output
    )


@click.command("down")
@cluster_options
@yes_option
@json_option
def down_command(which: Which, *, json_output: bool) -> int:
    """End a cluster; nothing of it is left."""
    from dask_bake.commands import clusters

    outlive_terminal()
    words = ("--file", str(which.file)) if which.file else (which.name,) if which.name else ()
    again = complete(command_line("down", *words), which.where.flags)
    with clusters.nothing_ended(again) as ending:
        here = open_cluster(which)
        return clusters.down(
            here.cloud, here.ec2, here.terminal, ending, name=here.name, json_output=json_output
        )


destroy_command = click.Command(
    "destroy",
    callback=down_command.callback,
    params=down_command.params,
    help="What dask-ec2 called down.",
    hidden=True,
)
