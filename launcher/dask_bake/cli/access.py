"""Options of the commands that look into a cluster, and bring things along: ``run``, ``cp``, ``logs`` …"""

from dataclasses import replace
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from dask_bake.cli.click_types import NodeCommand
from dask_bake.cli.options import (
    ClusterFlags,
    a_path,
    cluster_choice_options,
    cluster_node_options,
    cluster_options,
    complete_cluster,
    json_option,
    yes_option,
)
from dask_bake.cli.session import open_cluster, open_terminal
from dask_bake.errors import UsageError
from dask_bake.options.node_words import node_numbers, one_name

SOURCES = ("console", "cloud-init", "dask", "kernel")


def _path_or_cluster(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """Return files of this machine, and the clusters whose names begin so, with their colon."""
    named = complete_cluster(context, parameter, begun) if begun.replace("-", "").isalnum() else []
    return [CompletionItem(begun, type="file"), *(CompletionItem(f"{name}:") for name in named)]


@click.command("run", cls=NodeCommand)
@cluster_node_options("[NAME] [NODES]")
@click.option("--all", "every", is_flag=True, help="Run it on all nodes, the head included.")
@json_option
@click.pass_context
def run_command(
    context: click.Context, cluster_flags: ClusterFlags, *, nodes: str | None, every: bool, json_output: bool
) -> int:
    """Run a command on several nodes at once.

    \b
      dask-bake run --all -- df -h /
      dask-bake run taxi 1-4,7 -- 'nproc; uptime'

    NODES are numbers such as 1-4,7; 1- is node 1 and all after it. 0, the default, is the head. Each line
    has the node's name before it. The exit code is the highest of any node's. Ctrl-C ends the
    command on the nodes.
    """
    words = context.meta.get(NodeCommand.WORDS, ())
    if not words:
        raise UsageError("there is no command to run", hint="dask-bake run --all -- CMD")
    numbers = None if nodes is None else node_numbers(nodes, "NODES")
    from dask_bake.commands.access import run

    session = open_cluster(cluster_flags)
    options = run.RunOptions(words, session.name, numbers, every=every, json_output=json_output)
    return run.run(options, session.cloud, session.ec2, session.terminal)


@click.command("cp")
@click.argument("words", nargs=-1, required=True, metavar="SRC... DEST", shell_complete=_path_or_cluster)
@click.option(
    "--node", type=click.IntRange(min=0), metavar="N", help="Node to copy to or from. [default: 0, the head]"
)
@click.option("--all", "every", is_flag=True, help="Copy to or from all nodes, the head included.")
@cluster_choice_options
@json_option
def cp_command(
    cluster_flags: ClusterFlags, *, words: tuple[str, ...], node: int | None, every: bool, json_output: bool
) -> int:
    """Copy files and folders to nodes, or from them.

    \b
      dask-bake cp model.pkl data/ taxi:
      dask-bake cp --all settings.yaml taxi:.config/
      dask-bake cp 'taxi/3:results/*.parquet' .

    One side is NAME:PATH, the head, or NAME/3:PATH, node 3; :PATH is of the only cluster. PATH is below the
    login user's home. Globs of that side are expanded there. From --all nodes each gets a folder in DEST. A
    copy that broke is continued by the same command.
    """
    from dask_bake.access.locations import parse_copy

    copy = parse_copy(words, node)
    cluster_flags = replace(cluster_flags, name=one_name(copy.name, cluster_flags.name))
    from dask_bake.commands.access import cp

    session = open_cluster(cluster_flags)
    options = cp.CpOptions(copy, session.name, every=every, json_output=json_output)
    return cp.run(options, session.cloud, session.ec2, session.terminal)


@click.command("ssh-config")
@cluster_options
@click.option("--write", is_flag=True, help="Write the entries for ssh itself, instead of printing them.")
@click.option("--remove", is_flag=True, help="Remove what --write has written; without NAME, all of it.")
@yes_option
@json_option
def ssh_config_command(
    cluster_flags: ClusterFlags, *, write: bool, remove: bool, yes: bool, json_output: bool
) -> int:
    """Show how ssh, scp, rsync and editors reach a cluster's nodes.

    With --write, ssh NAME is the head and ssh NAME-1 a node, for every program that reads ~/.ssh/config. It
    asks before it adds a line to that file. The entries end with the cluster.
    """
    if write and remove:
        raise UsageError("--write and --remove contradict each other", hint="use one of the two")
    from dask_bake.commands.access import ssh_config

    if remove:
        terminal = open_terminal(cluster_flags.cloud)
        return ssh_config.remove(cluster_flags.name, terminal, json_output=json_output)
    session = open_cluster(cluster_flags)
    options = ssh_config.SshConfigOptions(session.name, write=write, asks=not yes, json_output=json_output)
    return ssh_config.run(options, session.cloud, session.ec2, session.terminal)


@click.command("logs")
@cluster_node_options("[NAME] [NODES]")
@click.option("--all", "every", is_flag=True, help="Also of nodes that have ended.")
@click.option("-f", "--follow", is_flag=True, help="Show lines as they come, until Ctrl-C.")
@click.option("--since", metavar="TIME", help="Only of the last TIME, such as 10m.")
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(min=1, max=100_000),
    metavar="N",
    help="Last lines of each node. [default: 200]",
)
@click.option(
    "--source",
    "sources",
    multiple=True,
    type=click.Choice(SOURCES),
    help="Only these: console as EC2 keeps it, or parts of the journal. [default: the journal]",
)
@click.option("--ended", is_flag=True, help="What was kept of a cluster when it was ended.")
@click.option(
    "--save", type=a_path, metavar="FILE", help="Save logs for a bug report: FILE.tar.zst or .tar.gz."
)
@json_option
def logs_command(
    cluster_flags: ClusterFlags,
    *,
    nodes: str | None,
    every: bool,
    follow: bool,
    since: str | None,
    lines: int | None,
    sources: tuple[str, ...],
    ended: bool,
    save: Path | None,
    json_output: bool,
) -> int:
    """Show what nodes have logged, also of those that are gone.

    \b
      dask-bake logs                       the last lines of all nodes, by time
      dask-bake logs taxi 3 --follow       of node 3, as they come
      dask-bake logs taxi --ended          after dask-bake down taxi

    NODES are numbers such as 1-4,7. Of a node that does not answer it shows the console that EC2 keeps. down
    keeps the logs on this machine for seven days.
    """
    numbers = None if nodes is None else node_numbers(nodes, "NODES")
    from dask_bake.access.records import Source
    from dask_bake.commands.access import logs
    from dask_bake.options.values import duration

    options = logs.LogsOptions(
        cluster_flags.name,
        numbers,
        every=every,
        follow=follow,
        since=None if since is None else duration(since, "--since"),
        lines=lines,
        sources=tuple(map(Source, sources)),
        save=save,
        json_output=json_output,
    )
    logs.check(options)
    if ended:
        return logs.show_ended(options, open_terminal(cluster_flags.cloud))
    session = open_cluster(cluster_flags)
    return logs.run(replace(options, name=session.name), session.cloud, session.ec2, session.terminal)
