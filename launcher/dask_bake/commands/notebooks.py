"""The notebooks of a head, before ``dask-bake down`` ends it."""

import sys
import time

from dask_bake.commands.confirm import confirm
from dask_bake.ec2.api import Ec2
from dask_bake.errors import BakeError
from dask_bake.events import PhaseEnded, PhaseStarted
from dask_bake.models.cloud import Cloud
from dask_bake.models.cluster import Cluster
from dask_bake.notebooks.collect import collect
from dask_bake.notebooks.folder import NotebookFolder, SavedNotebooks, folder_of
from dask_bake.ssh.connect import prepare_host
from dask_bake.view import clusters
from dask_bake.view.terminal import Terminal

PHASE = "saving notebooks"


def save_notebooks(cluster: Cluster, cloud: Cloud, ec2: Ec2) -> SavedNotebooks:
    """Save the notebooks of a head that runs, and return which; an error is a part of the result."""
    if cluster.head is None or cluster.head.state != "running" or not cluster.has_dask:
        return SavedNotebooks()
    folder = NotebookFolder(folder_of(cluster))
    try:
        found = collect(cluster, prepare_host(cluster, cluster.head, cloud, ec2))
        folder.save(found)
    except BakeError as error:
        return SavedNotebooks(trouble=error.message)
    return SavedNotebooks(folder.path if found.texts else None, tuple(found.texts), found.left, found.trouble)


def save_before_end(
    cluster: Cluster, cloud: Cloud, ec2: Ec2, terminal: Terminal, *, asks: bool
) -> SavedNotebooks | None:
    """Save the notebooks, and report what cannot be; return ``None`` if the user then keeps the cluster.

    Args:
        asks: whether to ask, on a terminal, before notebooks are lost.
    """
    began = time.monotonic()
    with terminal.working():
        terminal.notify(PhaseStarted(PHASE))
        saved = save_notebooks(cluster, cloud, ec2)
        terminal.notify(PhaseEnded(PHASE, time.monotonic() - began))
    text = clusters.notebooks_text(saved)
    if not (saved.is_lossy and asks and sys.stdin.isatty()):
        if text.plain:
            terminal.err.print(text, soft_wrap=True)
        return saved
    is_ended = confirm(terminal, text, question="End it all the same?", declined="Nothing was ended.")
    return saved if is_ended else None
