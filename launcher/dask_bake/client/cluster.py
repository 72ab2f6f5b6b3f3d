"""``BakeCluster``: a cluster as a ``distributed.deploy.Cluster``, and its discovery for dask-ctl."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, Self, Unpack

from dask_bake.client.backend import CloudBackend
from dask_bake.client.explain import explained
from dask_bake.client.interrupt import in_thread
from dask_bake.client.lifecycle import Place
from dask_bake.client.managed import ManagedCluster
from dask_bake.client.options import NodeKeywords, cluster_options
from dask_bake.clusters.condition import State, condition, is_valid
from dask_bake.clusters.inventory import list_clusters
from dask_bake.errors import UsageError
from dask_bake.events import ignore
from dask_bake.options.launch import LaunchOptions
from dask_bake.options.values import OF_A_BAKE, check_name


class BakeCluster(ManagedCluster):
    """A Dask cluster on EC2, started from an image that is baked.

    ``with BakeCluster(count=3, nprocs=2) as cluster, Client(cluster) as client``, or with
    ``asynchronous=True`` the same by ``async with`` and ``await``.

    It takes every option of ``dask-bake launch`` as a keyword, with ``_`` for ``-``. A cluster without a name
    gets a new one, so that two notebooks do not meet.

    Args:
        name: of the cluster, for ``from_name``, ``connect()`` and the command line.
        n_workers: number of worker processes, rounded up to whole nodes; in place of ``count``.
        shutdown_on_close: whether closing it, and the end of this process, end the cluster.
        asynchronous: whether it is used in an event loop.
        quiet: whether to show no progress and no messages.
        cloud, region, profile: the cloud, as for ``connect()``.
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        n_workers: int | None = None,
        shutdown_on_close: bool = True,
        asynchronous: bool = False,
        loop: Any = None,
        quiet: bool = False,
        cloud: str | None = None,
        region: str | None = None,
        profile: str | None = None,
        **options: Unpack[NodeKeywords],
    ) -> None:
        place = Place(cloud, region, profile)
        checked = _checked({"name": name, **options}, n_workers, cloud=cloud, region=region, profile=profile)
        backend = CloudBackend(
            checked.name,
            place,
            checked,
            quiet=quiet,
            allow_mismatch=checked.allow_mismatch,
        )
        super().__init__(
            backend,
            checked.name,
            flags=place.flags,
            shutdown_on_close=shutdown_on_close,
            asynchronous=asynchronous,
            loop=loop,
            quiet=quiet,
        )

    @classmethod
    def from_name(
        cls,
        name: str,
        *,
        shutdown_on_close: bool = False,
        asynchronous: bool = False,
        loop: Any = None,
        quiet: bool = False,
        allow_mismatch: bool = False,
        cloud: str | None = None,
        region: str | None = None,
        profile: str | None = None,
    ) -> Self:
        """Return a cluster that exists; closing it leaves it up, unless ``shutdown_on_close``."""
        place = Place(cloud, region, profile)
        named = _checked_name(name, cloud=cloud, region=region, profile=profile)
        backend = CloudBackend(named, place, None, quiet=quiet, allow_mismatch=allow_mismatch)
        self = cls.__new__(cls)
        ManagedCluster.__init__(
            self,
            backend,
            named,
            flags=place.flags,
            shutdown_on_close=shutdown_on_close,
            asynchronous=asynchronous,
            loop=loop,
            quiet=quiet,
        )
        return self


async def discover() -> AsyncIterator[tuple[str, type[BakeCluster]]]:
    """Yield the name and the class of each cluster with Dask that runs; nothing without a cloud."""
    for name in await in_thread(lambda _: _names()):
        yield name, BakeCluster


def _names() -> tuple[str, ...]:
    try:
        cloud, ec2 = Place().open(ignore, start=False)
    except UsageError:
        return ()
    now = datetime.now(UTC)
    return tuple(
        cluster.name
        for cluster in list_clusters(ec2, cloud)
        if is_valid(cluster)
        and cluster.has_dask
        and not OF_A_BAKE.fullmatch(cluster.name)
        and condition(cluster, now).state is not State.ENDED
    )


@explained
def _checked(keywords: dict[str, Any], n_workers: int | None, **_cloud: str | None) -> LaunchOptions:
    return cluster_options(keywords, n_workers)


@explained
def _checked_name(name: str, **_cloud: str | None) -> str:
    return check_name(name)
