"""From flags and configuration to a terminal and a cloud that answers."""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dask_bake.cli.options import Where, Which
from dask_bake.hints import flags_of

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
class Opened:
    """What a command about a cluster needs; without a name, the only cluster is meant."""

    terminal: "Terminal"
    cloud: "Cloud"
    ec2: "Ec2"
    name: str | None = None


def open_ec2(
    where: Where, *, start: bool = True, base: "DebianRelease | None" = None
) -> "tuple[Terminal, Cloud, Ec2]":
    """Return the cloud that is meant, and its EC2."""
    from dask_bake.ec2 import api as ec2

    terminal, cloud = open_cloud(where, start=start, base=base)
    return terminal, cloud, ec2.connect(cloud, terminal.notify)


def open_cloud(
    where: Where, *, start: bool = True, base: "DebianRelease | None" = None
) -> "tuple[Terminal, Cloud]":
    """Return the cloud that is meant; the local one is started if ``start``, and has that base image."""
    from dask_bake import clouds
    from dask_bake.options.launch import whereabouts

    terminal, meant = open_terminal(), whereabouts(asdict(where), configuration())
    with terminal.working():
        cloud = clouds.open_cloud(
            meant.cloud,
            meant.region,
            profile=meant.profile,
            notify=terminal.notify,
            start=start,
            base=base,
        )
    return terminal, replace(cloud, flags=flags_of(**asdict(where)))


def open_cluster(which: Which) -> Opened:
    """The cloud that the cluster is in, and its name, if one was said."""
    file, where = cluster_file(which.file, which.where, os.environ, name=which.name)
    if file is None:
        return Opened(*open_ec2(where, start=False), name=which.name)
    from dask_bake.clusters.inventory import find

    opened = Opened(*open_ec2(where, start=False), name=file.name)
    file.check(find(opened.ec2, opened.cloud, file.name))
    return opened


def cluster_file(
    given: Path | None, where: Where, environ: Mapping[str, str], *, name: str | None = None
) -> "tuple[ClusterFile | None, Where]":
    """The file that was given, or the variable's, and where its cluster is."""
    from dask_bake.clusters.cluster_file import read_cluster_file

    file = read_cluster_file(given, environ, {"name": name, "cloud": where.cloud, "region": where.region})
    return file, where if file is None else Where(file.cloud, file.region, where.profile)


def open_terminal() -> "Terminal":
    """Where the command speaks."""
    from dask_bake.view.terminal import Terminal

    return Terminal()


def launch_options(flags: Mapping[str, Any]) -> "LaunchOptions":
    """The options of a launch."""
    from dask_bake.options import launch

    return launch.launch_options(flags, configuration())


def environment_options(flags: Mapping[str, Any], *, lock: "Any" = None) -> "EnvironmentOptions":
    """The options of an environment."""
    from dask_bake.environment import options as module

    return module.environment_options(flags, configuration(), lock=lock)


def configuration() -> "Configuration":
    """What the user has configured."""
    from dask_bake.options.configuration import read_configuration

    return read_configuration()
