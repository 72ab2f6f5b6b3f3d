"""``dask-bake`` as a program of its own on a pretended cloud: ``launch`` and ``down``, by real processes."""

import sys

import click

from contract.pretended_cloud import DEBIAN
from contract.test_capacity import Answering, Printing
from dask_bake import cli, clouds, cluster_command, ec2, launch_command
from dask_bake.options import LaunchOptions
from dask_bake.terminal import Terminal


class Silent(Answering):
    """A way in to a head whose scheduler does not answer."""

    def registered(self, head):
        return None


@cli.cli.command()
@click.argument("url")
@click.argument("name")
@click.option("--never-ready", is_flag=True)
def pretended_launch(url: str, name: str, *, never_ready: bool) -> int:
    """Launches onto machines that are only pretended, so that nobody can enter them."""
    terminal, there = Terminal(), clouds.local_cloud(url, None)
    edge = Printing(ec2.connect(there, terminal.notify))
    return launch_command.run(
        LaunchOptions(count=3, nprocs=2, ami=DEBIAN.id, allow_mismatch=True, name=name),
        there,
        edge,
        terminal,
        dry_run=False,
        json_output=True,
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
