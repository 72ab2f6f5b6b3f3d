"""Versions of a client against those of its cluster."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from distributed.versions import VersionMismatchWarning

from dask_bake.ec2.api import Ec2
from dask_bake.errors import BakeError, TransientError, UsageError
from dask_bake.images.compatibility import check_client, installed_packages
from dask_bake.models.cluster import Node
from dask_bake.models.tags import CLIENT_TAGS


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


@contextmanager
def without_small_talk() -> Iterator[None]:
    """Drop Dask's warning about versions if the only mismatch is Python's patch release."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    for warning in caught:
        if not (warning.category is VersionMismatchWarning and is_small_talk(str(warning.message))):
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)


def is_small_talk(table: str) -> bool:
    """Return whether a table of mismatched versions has only a row for Python, with one minor version."""
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in table.splitlines()
        if line.startswith("|")
    ]
    packages = rows[1:]
    if [row[0] for row in packages] != ["python"]:
        return False
    return len({tuple(version.split(".")[:2]) for version in packages[0][1:]}) == 1
