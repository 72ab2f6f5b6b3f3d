"""The cloud as a ``BakeCluster`` needs it: a cluster that is launched or found, scaled, and ended."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from dask_bake.client.connect import open_link
from dask_bake.client.interrupt import Interrupt
from dask_bake.client.lifecycle import Place, end, launch_with, progress
from dask_bake.client.link import Link
from dask_bake.clusters.inventory import find
from dask_bake.ec2.api import Ec2
from dask_bake.errors import BakeError, LeftoverError, NoClusterError
from dask_bake.events import Notify, ignore
from dask_bake.hints import cluster_command
from dask_bake.models.cloud import Cloud, CredentialSource
from dask_bake.models.cluster import Cluster
from dask_bake.options.launch import LaunchOptions
from dask_bake.scaling.scale import (
    MakeConnection,
    MakeRetirement,
    Scaling,
    check_own,
    ssh_connection,
    ssh_retirement,
)


class Resize(Protocol):
    """Bring a cluster to a number of nodes, the head included, and return it as it is then.

    Nodes that are ended have run and handed over everything before.

    Args:
        first: private addresses of worker nodes to end before others.

    Raises:
        BakeError: if the cluster kept another size; nothing is left half-made.
    """

    def __call__(
        self,
        cluster: Cluster,
        cloud: Cloud,
        ec2: Ec2,
        *,
        count: int,
        first: Sequence[str],
        notify: Notify,
        sleep: Callable[[float], None],
    ) -> Cluster:
        """Resize the cluster."""
        ...


def resize(
    cluster: Cluster,
    cloud: Cloud,
    ec2: Ec2,
    *,
    count: int,
    first: Sequence[str],
    notify: Notify,
    sleep: Callable[[float], None],
    make_connection: MakeConnection = ssh_connection,
    make_retirement: MakeRetirement = ssh_retirement,
) -> Cluster:
    """Bring the caller's own cluster to a number of nodes, as ``dask-bake scale`` does."""
    check_own(cluster, count, cloud, ec2)
    scaling = Scaling(
        cluster.name,
        count,
        cloud,
        ec2,
        notify,
        nodes=first,
        sleep=sleep,
        make_connection=make_connection,
        make_retirement=make_retirement,
    )
    return scaling.run().cluster


@dataclass
class CloudBackend:
    """A cluster in the cloud that the caller chose: launched by these options, or found by its name.

    Args:
        options: of the launch; ``None`` for a cluster that exists.
        resize: the function that scales.
        launch: the function that launches.
        reach: the function that connects to the head; it may be told to accept other versions.
    """

    name: str
    place: Place
    options: LaunchOptions | None
    resize: Resize = resize
    quiet: bool = False
    allow_mismatch: bool = False
    launch: Callable[[LaunchOptions, Cloud, Ec2, Notify, Interrupt], Cluster] = launch_with
    reach: Callable[..., Link] = open_link
    _cloud: Cloud | None = field(default=None, init=False)
    _ec2: Ec2 | None = field(default=None, init=False)
    _launch_id: str = field(default="", init=False)

    def start(self, interrupt: Interrupt) -> Link:
        """Launch or find the cluster, and return the connection to it.

        A cluster that was launched and cannot be reached is ended again.
        """
        if self.options is None:
            cloud, ec2 = self._open(ignore, start=False)
            return self._link(find(ec2, cloud, self.name), cloud, ec2)
        with progress(quiet=self.quiet, place=self.place) as notify:
            cloud, ec2 = self._open(notify, start=True)
            cluster = self.launch(self.options, cloud, ec2, notify, interrupt)
            self._launch_id = cluster.launch_id
            try:
                interrupt.check()
                return self._link(cluster, cloud, ec2)
            except BaseException:
                end(cluster, cloud, ec2, notify, interrupt)
                raise

    def scale(self, count: int, interrupt: Interrupt, *, first: Sequence[str] = ()) -> int:
        """Bring the cluster to a number of nodes; return how many it has then."""
        cloud, ec2 = self._opened()
        cluster = self._current()
        resized = self.resize(
            cluster,
            cloud,
            ec2,
            count=count,
            first=first,
            notify=interrupt.checked(ignore),
            sleep=interrupt.sleep,
        )
        return resized.size

    def end(self, interrupt: Interrupt) -> None:
        """End the cluster; one that is gone needs no end, and a later one of its name is not touched."""
        cloud, ec2 = self._opened()
        try:
            cluster = self._current()
        except NoClusterError:
            return
        except BakeError as error:
            raise LeftoverError(
                f"the cluster {self.name} is running and costs money: {error.message}",
                hint=f"{cluster_command('down', self.name)} ends it",
                defect=error.defect,
            ) from error
        with progress(quiet=self.quiet, place=self.place) as notify:
            end(cluster, cloud, ec2, notify, interrupt)

    def _open(self, notify: Notify, *, start: bool) -> tuple[Cloud, Ec2]:
        self._cloud, self._ec2 = self.place.open(notify, start=start)
        return self._cloud, self._ec2

    def _opened(self) -> tuple[Cloud, Ec2]:
        if self._cloud is None or self._ec2 is None:
            return self._open(ignore, start=False)
        return self._cloud, self._ec2

    def _link(self, cluster: Cluster, cloud: Cloud, ec2: Ec2) -> Link:
        link = self.reach(cluster, cloud, ec2, allow_mismatch=self.allow_mismatch)
        self._launch_id = cluster.launch_id
        if cluster.credentials is CredentialSource.FORWARD:
            link.forward()
        return link

    def _current(self) -> Cluster:
        """Return the cluster as EC2 describes it now.

        Raises:
            NoClusterError: if it is gone, also if another has its name now.
        """
        cloud, ec2 = self._opened()
        cluster = find(ec2, cloud, self.name)
        if cluster.launch_id != self._launch_id:
            raise NoClusterError(
                f"the cluster {self.name} has ended, and another was launched by its name since",
                hint=f'BakeCluster.from_name("{self.name}") is the other one',
            )
        return cluster
