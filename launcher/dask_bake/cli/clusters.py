"""Options of ``dask-bake launch`` and of the commands for clusters."""

from pathlib import Path
from typing import Any

import click

from dask_bake.cli.click_types import NodeCommand, SectionedCommand
from dask_bake.cli.options import (
    CloudFlags,
    ClusterFlags,
    cloud_options,
    cluster_node_options,
    cluster_options,
    file_option,
    json_option,
    options_of,
    yes_option,
)
from dask_bake.cli.session import launch_options, open_cluster, open_ec2, open_terminal
from dask_bake.hints import command_line, complete
from dask_bake.options.launch_table import OPTIONS, SECTIONS
from dask_bake.options.node_words import node_number, one_name
from dask_bake.system.signals import ignore_hangup

MOST_USED = ("name", "count", "type", "nprocs", "spot", "idle_timeout", "dry_run")
"""Options that the help of ``launch`` lists first."""


@click.command("launch", cls=SectionedCommand, most_used=MOST_USED, sections=SECTIONS)
@click.argument("cluster", metavar="[NAME]", required=False)
@options_of(OPTIONS)
@click.option("--dry-run", is_flag=True, help="Show the EC2 calls and the user-data, and start nothing.")
@cloud_options
@json_option
def launch_command(
    cloud_flags: CloudFlags, *, cluster: str | None, dry_run: bool, json_output: bool, **flags: Any
) -> int:
    """Launch a cluster, and wait until every worker has joined.

    \b
      dask-bake launch --count 9 --type m6i.2xlarge --nprocs 8
      dask-bake launch night --spot --idle-timeout 1h --dry-run

    NAME is the cluster's name, as with --name. Every option can be set in Dask's configuration files, below
    bake:, as dask-bake config shows. The --no- form of an option overrides that, as in --no-spot.
    """
    options = launch_options({**flags, "name": one_name(cluster, flags["name"])})
    from dask_bake.commands import launch

    terminal, cloud, ec2 = open_ec2(cloud_flags)
    return launch.run(options, cloud, ec2, terminal, dry_run=dry_run, json_output=json_output)


@click.command("status")
@cluster_options
@json_option
def status_command(cluster_flags: ClusterFlags, *, json_output: bool) -> int:
    """Show a cluster's nodes and workers.

    The exit code is 1 if nodes are missing or the cluster has ended.
    """
    from dask_bake.commands import clusters

    session = open_cluster(cluster_flags)
    return clusters.status(
        session.cloud, session.ec2, session.terminal, name=session.name, json_output=json_output
    )


@click.command("ssh", cls=NodeCommand)
@cluster_node_options("[NAME] [NODE]")
@click.pass_context
def ssh_command(context: click.Context, cluster_flags: ClusterFlags, *, nodes: str | None) -> int:
    """Open a shell on a node, or run a command there.

    NODE 0, the default, is the head. A command after -- runs there; its output and exit code are passed on.
    """
    index = node_number(nodes, "NODE") if nodes is not None else 0
    from dask_bake.commands import connect

    session = open_cluster(cluster_flags)
    words = context.meta.get(NodeCommand.WORDS, ())
    return connect.shell(session.cloud, session.ec2, name=session.name, index=index, words=words)


@click.command("connect")
@cluster_options
@click.option(
    "--open",
    "opens",
    is_flag=True,
    help="Open JupyterLab in a browser, or the dashboard if there is no JupyterLab.",
)
@json_option
def connect_command(cluster_flags: ClusterFlags, *, opens: bool, json_output: bool) -> int:
    """Forward dashboard and JupyterLab to this machine, until Ctrl-C.

    When the cluster is about to shut itself down, the notebooks on its head are saved in
    ~/dask-bake-notebooks.
    """
    from dask_bake.commands import connect

    session = open_cluster(cluster_flags)
    return connect.connect(
        session.cloud,
        session.ec2,
        session.terminal,
        name=session.name,
        json_output=json_output,
        page="jupyter" if opens else "",
    )


@click.command("ui")
@cluster_options
def ui_command(cluster_flags: ClusterFlags) -> int:
    """Open the dashboard in a browser, until Ctrl-C."""
    from dask_bake.commands import connect

    session = open_cluster(cluster_flags)
    return connect.connect(
        session.cloud,
        session.ec2,
        session.terminal,
        name=session.name,
        json_output=False,
        page="dashboard",
    )


@click.command("address")
@cluster_options
@json_option
def address_command(cluster_flags: ClusterFlags, *, json_output: bool) -> int:
    """Show a cluster's addresses, and how to use them."""
    from dask_bake.commands import clusters

    session = open_cluster(cluster_flags)
    return clusters.address(
        session.cloud, session.ec2, session.terminal, name=session.name, json_output=json_output
    )


@click.command("allow-me")
@cluster_options
@click.option(
    "--cidr", multiple=True, metavar="CIDR,…", help="Allow these instead. [default: this machine's address]"
)
@click.option("--allow-wide-cidr", is_flag=True, help="Allow a --cidr wider than /24, or /56 for IPv6.")
@click.option("--dry-run", is_flag=True, help="Show what would be done, and change nothing.")
@json_option
def allow_me_command(
    cluster_flags: ClusterFlags,
    *,
    cidr: tuple[str, ...],
    allow_wide_cidr: bool,
    dry_run: bool,
    json_output: bool,
) -> int:
    """Allow SSH from this machine's current address."""
    from dask_bake.options import values

    blocks = values.networks(cidr, "--cidr") if cidr else ()
    from dask_bake.clouds import caller_address
    from dask_bake.commands import allow_me

    session = open_cluster(cluster_flags)
    options = allow_me.AllowMeOptions(
        name=session.name,
        cidr=blocks,
        allow_wide_cidr=allow_wide_cidr,
        dry_run=dry_run,
        json_output=json_output,
    )
    return allow_me.run(
        options,
        session.cloud,
        session.ec2,
        session.terminal,
        lambda: caller_address(session.cloud, session.terminal.notify),
    )


@click.command("ls")
@file_option("Only the cluster of this file.")
@cloud_options
@json_option
def ls_command(cloud_flags: CloudFlags, *, file: Path | None, json_output: bool) -> int:
    """List clusters."""
    from dask_bake.clouds import LocalCloudDownError
    from dask_bake.commands import clusters

    if file is not None:
        from dask_bake.clusters.inventory import find

        session = open_cluster(ClusterFlags(cloud_flags, file=file))
        found = find(session.ec2, session.cloud, session.name)
        prices = clusters.prices_of(session.cloud, session.ec2)
        return clusters.show_list((found,), session.terminal, prices, json_output=json_output)
    try:
        terminal, cloud, ec2 = open_ec2(cloud_flags, start=False)
    except LocalCloudDownError:
        return clusters.show_list((), open_terminal(), json_output=json_output)
    return clusters.list_all(cloud, ec2, terminal, json_output=json_output)


@click.command("scale")
@cluster_options
@click.option(
    "--count",
    type=click.IntRange(max=999_999),
    metavar="N",
    required=True,
    help="Number of nodes, including the head.",
)
@click.option(
    "--timeout",
    type=click.IntRange(min=1),
    metavar="SECONDS",
    help="Time for new nodes to join; if they do not, they are ended. [default: 300]",
)
@click.option("--dry-run", is_flag=True, help="Show what would be started or ended, and change nothing.")
@yes_option
@json_option
def scale_command(
    cluster_flags: ClusterFlags,
    *,
    count: int,
    timeout: int | None,
    dry_run: bool,
    yes: bool,
    json_output: bool,
) -> int:
    """Add nodes to a cluster, or end those with the least to do.

    New nodes are like those of the launch. A node ends once its tasks are done and its results are on other
    nodes. After a failure or Ctrl-C the cluster has the nodes that it had.
    """
    from dask_bake.commands import scale
    from dask_bake.scaling.plan import check_wanted
    from dask_bake.scaling.scale import TIMEOUT

    check_wanted(count, cluster_flags.name or "")
    session = open_cluster(cluster_flags)
    options = scale.ScaleOptions(
        count,
        session.name,
        timeout=TIMEOUT if timeout is None else timeout,
        asks=not yes,
        dry_run=dry_run,
        json_output=json_output,
    )
    return scale.run(options, session.cloud, session.ec2, session.terminal)


@click.command("extend")
@cluster_options
@click.option("--by", metavar="TIME", default="2h", help="Time, such as 90m or 2h. [default: 2h]")
@json_option
def extend_command(cluster_flags: ClusterFlags, *, by: str, json_output: bool) -> int:
    """Postpone the automatic shutdown of a cluster.

    Its lifetime becomes longer by TIME, and its idle time-out does not shut it down before TIME has passed.
    """
    from dask_bake.commands import clusters
    from dask_bake.options.values import duration

    seconds, session = duration(by, "--by"), open_cluster(cluster_flags)
    return clusters.extend(
        session.cloud,
        session.ec2,
        session.terminal,
        name=session.name,
        seconds=seconds,
        json_output=json_output,
    )


@click.command("down")
@cluster_options
@yes_option
@click.option("--no-save", is_flag=True, help="Do not save the notebooks on its head.")
@json_option
def down_command(cluster_flags: ClusterFlags, *, yes: bool, no_save: bool, json_output: bool) -> int:
    """End a cluster, and remove all of its resources.

    The notebooks on its head are saved in ~/dask-bake-notebooks first. It asks before it ends a cluster that
    was not named, or that somebody else launched, and before notebooks are lost. The exit code is 0 as well
    if the named cluster is gone already.
    """
    from dask_bake.commands import clusters
    from dask_bake.errors import NoClusterError

    ignore_hangup()
    words = (
        ("--file", str(cluster_flags.file))
        if cluster_flags.file
        else (cluster_flags.name,)
        if cluster_flags.name
        else ()
    )
    again = complete(command_line("down", *words), cluster_flags.cloud.flags)
    with clusters.nothing_ended(again) as ending:
        try:
            session = open_cluster(cluster_flags)
            return clusters.down(
                session.cloud,
                session.ec2,
                session.terminal,
                ending,
                name=session.name,
                asks=not yes,
                saves=not no_save,
                json_output=json_output,
            )
        except NoClusterError as gone:
            return clusters.show_gone(gone, open_terminal(cluster_flags.cloud), json_output=json_output)


destroy_command = click.Command(
    "destroy",
    callback=down_command.callback,
    params=down_command.params,
    help="Name of down in dask-ec2.",
    hidden=True,
)
