"""``launch()`` and ``down()``: the commands as functions."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Unpack

from dask_bake.client.explain import cloud_flags, explained
from dask_bake.client.interrupt import Interrupt
from dask_bake.client.options import LaunchKeywords, launch_options
from dask_bake.clouds import open_cloud
from dask_bake.clusters.inventory import find
from dask_bake.clusters.teardown import take_down
from dask_bake.commands.launch import head_connection, notes, prepare
from dask_bake.ec2 import api
from dask_bake.ec2.api import Ec2
from dask_bake.ec2.protocols import HeadConnection
from dask_bake.errors import UsageError
from dask_bake.events import Note, Notify, ignore
from dask_bake.forwarding.session import forward_once
from dask_bake.images.compatibility import installed_packages
from dask_bake.launch import executor
from dask_bake.models.cloud import Cloud
from dask_bake.models.cluster import Cluster
from dask_bake.options.configuration import read_configuration
from dask_bake.options.launch import LaunchOptions
from dask_bake.options.parse import cloud_options
from dask_bake.ssh.connect import is_callers, local_keystore
from dask_bake.ssh.head_connection import SshHeadConnection
from dask_bake.ssh.keystore import Keys, Keystore
from dask_bake.ssh.transport import Transport
from dask_bake.view.progress import is_notebook, watching_in_notebook
from dask_bake.view.terminal import Terminal


@dataclass(frozen=True)
class Place:
    """The cloud that the caller chose, by arguments that ``dask-bake`` has as flags."""

    cloud: str | None = None
    region: str | None = None
    profile: str | None = None

    @property
    def flags(self) -> tuple[str, ...]:
        """The same as flags, for commands in hints."""
        return cloud_flags({"cloud": self.cloud, "region": self.region, "profile": self.profile})

    def open(self, notify: Notify, *, start: bool) -> tuple[Cloud, Ec2]:
        """Return the cloud and its EC2; the local cloud is started if ``start``."""
        given = {"cloud": self.cloud, "region": self.region, "profile": self.profile}
        meant = cloud_options(given, read_configuration())
        cloud = open_cloud(meant.cloud, meant.region, profile=meant.profile, notify=notify, start=start)
        return cloud, api.connect(cloud, notify)


@explained
def launch(
    *,
    cloud: str | None = None,
    region: str | None = None,
    profile: str | None = None,
    quiet: bool = False,
    **options: Unpack[LaunchKeywords],
) -> Cluster:
    """Launch a cluster, wait until every worker has joined, and return it as EC2 describes it.

    The keywords are the options of ``dask-bake launch``, with ``_`` for ``-``: ``launch(count=9, nprocs=8,
    type="m6i.2xlarge", env={"MODE": "test"}, idle_timeout="1h")``. A failure or an interrupt leaves nothing.
    The progress is shown on stderr or in the notebook, unless ``quiet``.
    """
    checked = launch_options(options, "launch")
    place = Place(cloud, region, profile)
    with progress(quiet=quiet, place=place) as notify:
        return launch_with(checked, *place.open(notify, start=True), notify, Interrupt())


@explained
def down(
    name: str,
    *,
    cloud: str | None = None,
    region: str | None = None,
    profile: str | None = None,
    quiet: bool = False,
    anyones: bool = False,
) -> Cluster:
    """End the cluster of that name, and return it as it was; ``anyones`` also ends another owner's."""
    place = Place(cloud, region, profile)
    with progress(quiet=quiet, place=place) as notify:
        chosen, ec2 = place.open(notify, start=False)
        cluster = find(ec2, chosen, name)
        if not anyones and not is_callers(cluster, chosen, ec2):
            whose = f"belongs to {cluster.owner}" if cluster.owner else "has no known owner"
            raise UsageError(
                f"cluster {cluster.name} {whose}",
                hint=f'down("{cluster.name}", anyones=True) ends it all the same',
            )
        end(cluster, chosen, ec2, notify, Interrupt())
        return cluster


def launch_with(
    options: LaunchOptions,
    cloud: Cloud,
    ec2: Ec2,
    notify: Notify,
    interrupt: Interrupt,
    *,
    make_connection: Callable[[Keystore, Keys, Transport], HeadConnection] = SshHeadConnection,
) -> Cluster:
    """Launch a cluster of these options."""
    keys, plan = prepare(options, cloud, ec2, notify)
    for note in notes(plan, installed_packages(), now=datetime.now(UTC)):
        notify(Note(note))
    connection = head_connection(plan, keys, cloud, make_connection)
    cluster = executor.launch(
        plan, ec2, connection, notify=interrupt.checked(notify), clock=time.monotonic, sleep=interrupt.sleep
    )
    with executor.staying(cluster):
        forward_once(cluster, cloud, ec2, notify)
    return cluster


def end(cluster: Cluster, cloud: Cloud, ec2: Ec2, notify: Notify, interrupt: Interrupt) -> None:
    """End the cluster, and delete its keys."""
    connection = SshHeadConnection(local_keystore(cluster, cloud))
    take_down(
        cluster,
        ec2,
        connection,
        notify=interrupt.checked(notify),
        clock=time.monotonic,
        sleep=interrupt.sleep,
    )


@contextmanager
def progress(*, quiet: bool, place: Place) -> Iterator[Notify]:
    """Show the progress of what the block does: in a notebook below the cell, elsewhere on stderr."""
    if quiet:
        yield ignore
    elif is_notebook():
        with watching_in_notebook(place.flags) as notify:
            yield notify
    else:
        terminal = Terminal(flags=place.flags)
        with terminal.working(), terminal.watching():
            yield terminal.notify
