"""Versions of a client against those of its cluster."""

import warnings

from distributed.versions import VersionMismatchWarning

from dask_bake.ec2.api import Ec2
from dask_bake.errors import BakeError, TransientError, UsageError
from dask_bake.images.compatibility import check_client, installed_packages
from dask_bake.models.cluster import Node
from dask_bake.models.tags import CLIENT_TAGS

PATCH_RELEASE_ONLY = (
    r"Mismatched versions found\s+[+-]+\n\|[^\n]*\|\n[+-]+\n"
    r"\| *python *\| *(\d+\.\d+)\.\S+ *\| *\1\.\S+ *\| *(?:\1\.\S+|None) *\|\n[+-]+\s*\Z"
)
"""A table of mismatched versions that has only a row for Python, with one minor version."""


def check_versions(client: Ec2, head: Node, cluster: str) -> bool:
    """Raise if this process's versions differ from the cluster's, by the tags of its head or of its image.

    Return whether the cluster's versions are known.
    """
    tags = head.tags
    if not set(CLIENT_TAGS) <= set(dict(tags)):  # launched by an older version
        try:
            tags = client.image(head.image_id).tags
        except (TransientError, UsageError):
            raise
        except BakeError:  # the image is gone, or images may not be listed
            tags = ()
    check_client(tags, installed_packages(), cluster=cluster)
    return set(CLIENT_TAGS) <= set(dict(tags))


def warn_of_versions(head: Node, cluster: str) -> None:
    """Warn the caller of ``connect()`` that the cluster's versions are unknown."""
    warnings.warn(
        f"The versions of the cluster {cluster} are unknown: neither its head nor its image {head.image_id}"
        " has them. A client of another Python or distributed may end its scheduler.",
        stacklevel=7,
    )


def ignore_patch_releases() -> None:
    """Let Dask not warn of versions in this process if only Python's patch release differs.

    A filter, as ``Client(cluster)`` and a client that reconnects warn later, in an event loop's thread.
    """
    warnings.filterwarnings("ignore", message=PATCH_RELEASE_ONLY, category=VersionMismatchWarning)
