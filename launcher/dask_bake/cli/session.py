"""From command-line options and configuration to a terminal and a cloud that answers."""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dask_bake.cli.options import CloudFlags, ClusterFlags, Invocation

if TYPE_CHECKING:
    from dask_bake.clusters.cluster_file import ClusterFile
    from dask_bake.ec2.api import Ec2
    from dask_bake.environment.options import EnvironmentOptions
    from dask_bake.models.cloud import Cloud
    from dask_bake.models.debian import DebianRelease
    from dask_bake.options.configuration import Configuration
    from dask_bake.options.launch import LaunchOptions
    from dask_bake.view.terminal import Terminal


@dataclass(frozen=True)
class ClusterSession:
    """Terminal and clients of a command about a cluster; without a name, ``find`` chooses it."""

    terminal: "Terminal"
    cloud: "Cloud"
    ec2: "Ec2"
    name: str | None = None


def open_ec2(
    cloud_flags: CloudFlags,
    *,
    terminal: "Terminal | None" = None,
    start: bool = True,
    base: "DebianRelease | None" = None,
) -> "tuple[Terminal, Cloud, Ec2]":
    """Return the chosen cloud with its EC2 client; the arguments are those of ``open_cloud``."""
    from dask_bake.ec2 import api

    terminal, cloud = open_cloud(cloud_flags, terminal=terminal, start=start, base=base)
    return terminal, cloud, api.connect(cloud, terminal.notify)


def open_cloud(
    cloud_flags: CloudFlags,
    *,
    terminal: "Terminal | None" = None,
    start: bool = True,
    base: "DebianRelease | None" = None,
) -> "tuple[Terminal, Cloud]":
    """Return the chosen cloud; the local one is started if ``start``, and gets the base image."""
    from dask_bake import clouds
    from dask_bake.options.parse import cloud_options

    _keep(cloud_flags)
    terminal, chosen = (
        terminal or open_terminal(cloud_flags),
        cloud_options(asdict(cloud_flags), configuration()),
    )
    with terminal.working():
        cloud = clouds.open_cloud(
            chosen.cloud,
            chosen.region,
            profile=chosen.profile,
            notify=terminal.notify,
            start=start,
            base=base,
        )
    return terminal, cloud


def open_cluster(cluster_flags: ClusterFlags) -> ClusterSession:
    """Return the cloud of the cluster, and the cluster's name if one was given."""
    file, cloud_flags = cluster_file(
        cluster_flags.file, cluster_flags.cloud, os.environ, name=cluster_flags.name
    )
    if file is None:
        return ClusterSession(*open_ec2(cloud_flags, start=False), name=cluster_flags.name)
    from dask_bake.clusters.inventory import find

    session = ClusterSession(*open_ec2(cloud_flags, start=False), name=file.name)
    file.check(find(session.ec2, session.cloud, file.name))
    return session


def cluster_file(
    given: Path | None, cloud_flags: CloudFlags, environ: Mapping[str, str], *, name: str | None = None
) -> "tuple[ClusterFile | None, CloudFlags]":
    """Return the file given by option or variable, if any, and the cloud of its cluster."""
    from dask_bake.clusters.cluster_file import read_cluster_file

    file = read_cluster_file(
        given, environ, {"name": name, "cloud": cloud_flags.cloud, "region": cloud_flags.region}
    )
    return file, cloud_flags if file is None else CloudFlags(file.cloud, file.region, cloud_flags.profile)


def open_terminal(cloud_flags: CloudFlags | None = None) -> "Terminal":
    """Return a terminal for the command's output."""
    from dask_bake.view.terminal import Terminal

    terminal = Terminal(flags=cloud_flags.flags if cloud_flags else ())
    if (invocation := _invocation()) is not None:
        invocation.terminals.append(terminal)
    return terminal


def _keep(cloud_flags: CloudFlags) -> None:
    """Store the options that chose the cloud, for the hints of this command's errors."""
    if (invocation := _invocation()) is not None:
        invocation.flags = cloud_flags.flags


def _invocation() -> Invocation | None:
    context = click.get_current_context(silent=True)
    return context.obj if context is not None and isinstance(context.obj, Invocation) else None


def launch_options(flags: Mapping[str, Any]) -> "LaunchOptions":
    """Return the options of a launch, from the command line and the configuration."""
    from dask_bake.commands.launch_options import configured_options

    return configured_options(flags)


def environment_options(flags: Mapping[str, Any], *, lock: Path | None = None) -> "EnvironmentOptions":
    """Return the options of an environment, from the command line and the configuration."""
    from dask_bake.environment import options

    return options.environment_options(flags, configuration(), lock=lock)


def configuration() -> "Configuration":
    """Return the user's configuration."""
    from dask_bake.options.configuration import read_configuration

    return read_configuration()
