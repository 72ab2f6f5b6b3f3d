"""``dask-bake`` as a program of its own on a pretended cloud, without moto, which takes long to load."""

import sys

import click

from dask_bake import cli, clouds, cluster_command, ec2, launch_command
from dask_bake.options import LaunchOptions
from dask_bake.terminal import Terminal
from fakes import Answering, Printing


class Silent(Answering):
    """A way in to a head whose scheduler does not answer."""

    def registered(self, head):
        return None


@cli.cli.command()
@click.argument("url")
@click.argument("name")
@click.option("--ami", required=True)
@click.option("--never-ready", is_flag=True)
@click.option("--for-people", is_flag=True)
def pretended_launch(url: str, name: str, *, ami: str, never_ready: bool, for_people: bool) -> int:
    """Launches onto machines that are only pretended, so that nobody can enter them."""
    terminal, there = Terminal(), clouds.local_cloud(url, None)
    edge = Printing(ec2.connect(there, terminal.notify))
    return launch_command.run(
        LaunchOptions(count=3, nprocs=2, ami=ami, allow_mismatch=True, name=name),
        there,
        edge,
        terminal,
        dry_run=False,
        json_output=not for_people,
        make_way_in=lambda *_: (Silent if never_ready else Answering)(edge),
    )


@cli.cli.command()
@click.argument("url")
@click.argument("name")
def pretended_down(url: str, name: str) -> int:
    """Takes that cluster down."""
    terminal, there = Terminal(), clouds.local_cloud(url, None)
    edge = ec2.connect(there, terminal.notify)
    return cluster_command.down(there, edge, terminal, name=name, json_output=True)


if __name__ == "__main__":
    cli.main(sys.argv[1:])
