"""``dask-bake`` commands for the local cloud without machines; moto, slow to import, is not imported."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from dask_bake import clouds
from dask_bake.cli import main
from dask_bake.commands import clusters, connect, launch
from dask_bake.ec2 import api
from dask_bake.hints import command_line, complete
from dask_bake.models.cluster import Node
from dask_bake.options.launch import LaunchOptions
from dask_bake.options.parse import checked
from dask_bake.ssh.head_connection import SshHeadConnection
from dask_bake.system.signals import ignore_hangup
from dask_bake.view.terminal import Terminal
from fakes import AllRegistered, Ec2WithHostKey
from isolation import KEY_PAIR


class PretendedHeadConnection(SshHeadConnection):
    """An SSH connection that keeps its keys as usual, but makes up the registered workers."""

    def __init__(self, edge: Any, *about: Any, is_silent: bool = False) -> None:
        super().__init__(*about)
        self._answering, self._is_silent = AllRegistered(edge), is_silent

    def opens(self, head: Node) -> bool:
        return not self._is_silent

    def registered(self, head: Node) -> Mapping[str, int] | None:
        return None if self._is_silent else self._answering.registered(head)


@main.cli.command()
@click.argument("url")
@click.argument("name")
@click.option("--ami", required=True)
@click.option("--never-ready", is_flag=True)
@click.option("--keep-on-failure", is_flag=True)
@click.option("--timeout", type=int, default=300)
@click.option("--file", type=Path)
@click.option("--for-people", is_flag=True)
def pretended_launch(
    url: str, name: str, *, ami: str, never_ready: bool, for_people: bool, **options: Any
) -> int:
    """Launch a cluster of pretended machines."""
    terminal, there = Terminal(), clouds.local_cloud(url, KEY_PAIR, None)
    edge = Ec2WithHostKey(api.connect(there, terminal.notify))
    return launch.run(
        checked(LaunchOptions(count=3, nprocs=2, ami=ami, allow_mismatch=True, name=name, **options)),
        there,
        edge,
        terminal,
        dry_run=False,
        json_output=not for_people,
        make_connection=lambda *about: PretendedHeadConnection(edge, *about, is_silent=never_ready),
    )


@main.cli.command()
@click.argument("url")
@click.argument("name")
def pretended_down(url: str, name: str) -> int:
    """Take the cluster down."""
    ignore_hangup()
    terminal, there = Terminal(), clouds.local_cloud(url, KEY_PAIR, None)
    edge = api.connect(there, terminal.notify)
    with clusters.nothing_ended(complete(command_line("down", name))) as ending:
        return clusters.down(there, edge, terminal, ending, name=name, asks=True, json_output=True)


@main.cli.command()
@click.argument("url")
@click.argument("name")
def pretended_status(url: str, name: str) -> int:
    """Show the cluster's status."""
    terminal, there = Terminal(), clouds.local_cloud(url, KEY_PAIR, None)
    edge = Ec2WithHostKey(api.connect(there, terminal.notify))
    return clusters.status(there, edge, terminal, name=name, json_output=False)


@main.cli.command()
@click.argument("url")
@click.argument("name")
def pretended_ssh(url: str, name: str) -> int:
    """Open a shell on the cluster's head."""
    terminal, there = Terminal(), clouds.local_cloud(url, KEY_PAIR, None)
    edge = Ec2WithHostKey(api.connect(there, terminal.notify))
    return connect.shell(there, edge, name=name, index=0, words=())


if __name__ == "__main__":
    main.main(sys.argv[1:])
