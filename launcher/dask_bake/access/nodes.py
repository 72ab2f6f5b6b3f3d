"""The nodes of a cluster that a command is about, and their names."""

from dask_bake.errors import UsageError
from dask_bake.models.cluster import Cluster, Node
from dask_bake.options.node_words import NodeNumbers
from dask_bake.ssh.connect import find_node


def node_name(cluster: str, index: int) -> str:
    """Return the name of a node in output and in ssh's configuration: ``taxi-3``; ``taxi-0`` is the head."""
    return f"{cluster}-{index}"


def choose_nodes(cluster: Cluster, numbers: NodeNumbers | None, *, every: bool) -> tuple[Node, ...]:
    """Return the nodes of these numbers, all that are up if ``every``, or else the head.

    Raises:
        UsageError: if one is not there, or both are given; if the cluster has ended, it says when and why.
    """
    if numbers is not None and every:
        raise UsageError("numbers of nodes and --all contradict each other", hint="use one of the two")
    find_node(cluster, 0)
    if every:
        return tuple(node for node in cluster.known_nodes if node.is_up)
    if numbers is None:
        return (find_node(cluster, 0),)
    for index in numbers.missing(node.index for node in cluster.known_nodes):
        find_node(cluster, index)
    return tuple(node for node in cluster.known_nodes if node.index in numbers)
