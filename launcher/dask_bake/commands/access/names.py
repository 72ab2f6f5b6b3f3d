"""Names of clusters, nodes and images, for the completion of a shell: quickly, or none at all."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from dask_bake.events import ignore
from dask_bake.system.concurrency import BackgroundCall

if TYPE_CHECKING:
    from dask_bake.models.cloud import Cloud
    from dask_bake.models.ec2 import Image

SECONDS = 3.0
"""Seconds after which a shell gets no names; EC2 mostly answers within one."""

Flags = Mapping[str, str | None]
"""The options ``cloud``, ``region`` and ``profile`` of the command line that is being completed."""


def cluster_names(flags: Flags) -> Sequence[str]:
    """Return the names of the region's clusters."""

    def look_up() -> list[str]:
        from dask_bake.clusters.condition import is_valid
        from dask_bake.clusters.inventory import list_clusters
        from dask_bake.ec2 import api

        cloud = _open(flags)
        return [each.name for each in list_clusters(api.connect(cloud, ignore), cloud) if is_valid(each)]

    return in_time(look_up)


def node_numbers(flags: Flags, name: str | None) -> Sequence[str]:
    """Return the numbers of a cluster's nodes; without a name, of the only cluster or the caller's."""

    def look_up() -> list[str]:
        from dask_bake.clusters.inventory import find
        from dask_bake.ec2 import api

        cloud = _open(flags)
        found = find(api.connect(cloud, ignore), cloud, name)
        return [str(node.index) for node in found.known_nodes]

    return in_time(look_up)


def image_names(flags: Flags) -> Sequence[str]:
    """Return the names and the ids of the images, the newest first."""
    return _of_images(flags, lambda image: (image.name, image.id))


def image_ids(flags: Flags) -> Sequence[str]:
    """Return the ids of the images, the newest first."""
    return _of_images(flags, lambda image: (image.id,))


def environments(flags: Flags) -> Sequence[str]:
    """Return the names of the environments that images have."""
    from dask_bake.models.tags import Tag

    found = _of_images(flags, lambda image: (image.tag(Tag.ENVIRONMENT),))
    return [each for each in dict.fromkeys(found) if each]


def instance_types(_flags: Flags) -> Sequence[str]:
    """Return the names of the instance types that boto3 knows; nobody is asked."""

    def look_up() -> Sequence[str]:
        from dask_bake.ec2.session import known_instance_types

        return known_instance_types()

    return in_time(look_up)


def in_time(look_up: Callable[[], Sequence[str]]) -> Sequence[str]:
    """Return the names; none if the look-up fails, or takes longer than ``SECONDS``."""

    def quietly() -> Sequence[str]:
        try:
            return look_up()
        except Exception:  # a shell shows names alone: the command itself says what is wrong
            return ()

    return BackgroundCall(quietly).result_within(SECONDS) or ()


def _of_images(flags: Flags, names: "Callable[[Image], Sequence[str]]") -> Sequence[str]:
    def look_up() -> list[str]:
        from dask_bake.ec2.images import connect_images

        return [name for image in connect_images(_open(flags), ignore).mine() for name in names(image)]

    return in_time(look_up)


def _open(flags: Flags) -> "Cloud":
    """Return the chosen cloud; a local one is not started."""
    from dask_bake import clouds
    from dask_bake.options.configuration import read_configuration
    from dask_bake.options.parse import cloud_options

    chosen = cloud_options(flags, read_configuration())
    return clouds.open_cloud(chosen.cloud, chosen.region, profile=chosen.profile, notify=ignore, start=False)
