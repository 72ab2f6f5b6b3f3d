"""Look-up of clusters by their tags, from any machine; nothing is recorded locally."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

from dask_bake.clusters.condition import State, condition, is_valid
from dask_bake.clusters.node_end import death_reason, end_reason, memory_trouble
from dask_bake.clusters.ownership import current_owner
from dask_bake.ec2.protocols import ClusterQueries
from dask_bake.errors import BakeError, NoClusterError, UsageError
from dask_bake.hints import cluster_command
from dask_bake.models.cloud import Cloud
from dask_bake.models.cluster import Cluster, Node
from dask_bake.models.ec2 import SecurityGroup
from dask_bake.models.tags import Tag, Tags
from dask_bake.options.values import OF_A_BAKE, quoted
from dask_bake.system.concurrency import gather

EVERY = {Tag.MANAGED: "true"}
MOST_NAMES = 10
"""Most names in a message."""
MOST_CONSOLES = 20
"""Most consoles of ended clusters that a list reads; the rest are shown without the reason of their end."""
MOST_ENDED = 5
"""Most nodes of a cluster, of those that have ended and of those that lack workers, whose console is read."""


def list_clusters(edge: ClusterQueries, cloud: Cloud) -> tuple[Cluster, ...]:
    """Return every cluster in the cloud's region, sorted by name, whoever launched it."""
    nodes, groups = edge.nodes(EVERY), edge.groups(EVERY)
    there = [node for node in nodes if node.state != "terminated"]
    names = {dict(tags).get(Tag.CLUSTER, "") for tags in _tags(there, groups)} - {""}
    found = [assemble(name, nodes, groups, cloud) for name in sorted(names)]
    silent = [cluster for cluster in found if not cluster.nodes and cluster.gone][:MOST_CONSOLES]
    explained = gather(*(partial(with_end_reason, edge, cluster) for cluster in silent))
    by_name = {cluster.name: cluster for cluster in explained}
    return tuple(by_name.get(cluster.name, cluster) for cluster in found)


def find(edge: ClusterQueries, cloud: Cloud, name: str | None) -> Cluster:
    """Return the cluster of that name; without a name, the only cluster or the caller's only one.

    Without a name, bakes do not count, and a cluster that has ended is found only if no other is there.

    Raises:
        UsageError: if there is none, or more than one without a name.
    """
    clusters = list_clusters(edge, cloud)
    if name is None:
        now = datetime.now(UTC)
        clusters = tuple(each for each in clusters if is_valid(each) and not OF_A_BAKE.fullmatch(each.name))
        alive = tuple(each for each in clusters if condition(each, now).state is not State.ENDED)
        clusters = alive or clusters
        if len(clusters) > 1:
            caller = current_owner(edge)
            own = tuple(each for each in clusters if caller.owns(each.owners))
            clusters = own if len(own) == 1 else clusters
    for cluster in clusters:
        if name == cluster.name and not is_valid(cluster):
            raise UsageError(
                f"{quoted(name)} was not launched by dask-bake, although it has its tags",
                hint="if it is yours, delete it in EC2's console, or by aws ec2",
            )
        if name == cluster.name or (name is None and len(clusters) == 1):
            return cluster
    some = [cluster.name for cluster in clusters if is_valid(cluster)]
    names = ", ".join(some[:MOST_NAMES]) + (
        f" and {len(some) - MOST_NAMES} more" if some[MOST_NAMES:] else ""
    )
    if name is None and clusters:
        raise UsageError(
            f"there is more than one cluster: {names}",
            hint=f"name one of them, such as {cluster_command('status', clusters[0].name)},"
            f" {cluster_command('ssh', clusters[0].name)}",
        )
    where = f"in {cloud.name} {cloud.region}"
    hint = f"there is {names}" if names else "dask-bake launch starts one"
    if name is not None:
        raise NoClusterError(f"there is no cluster named {name} {where}", hint=hint)
    raise UsageError(f"there is no cluster {where}", hint=hint)


def assemble(name: str, nodes: Iterable[Node], groups: Iterable[SecurityGroup], cloud: Cloud) -> Cluster:
    """Return the cluster of that name: its nodes, its groups, and the ended nodes of its launch."""
    own_nodes = sorted(
        (node for node in nodes if dict(node.tags).get(Tag.CLUSTER) == name),
        key=lambda node: (node.role is None, node.index, node.id),
    )
    own = [group for group in groups if dict(group.tags).get(Tag.CLUSTER) == name]
    own_groups = tuple(sorted(own, key=lambda group: group.name))  # the launch's own is the first
    there = tuple(node for node in own_nodes if node.state != "terminated")
    launches = (dict(tags).get(Tag.LAUNCH, "") for tags in _tags(there, own_groups))
    launch_id = next(filter(None, launches), "")
    gone = (node for node in own_nodes if node.state == "terminated")
    return Cluster(
        name=name,
        cloud=cloud.name,
        region=cloud.region,
        launch_id=launch_id,
        nodes=there,
        groups=own_groups,
        gone=tuple(node for node in gone if dict(node.tags).get(Tag.LAUNCH, "") == launch_id),
    )


def with_end_reason(edge: ClusterQueries, cluster: Cluster) -> Cluster:
    """Return a cluster without nodes with the reason that its head printed before it powered itself off."""
    head = cluster.gone_head
    if cluster.nodes or head is None:
        return cluster
    try:
        return replace(cluster, end_reason=end_reason(edge.console_output(head.id)))
    except BakeError:  # only a message needs the reason
        return cluster


def with_troubles(edge: ClusterQueries, cluster: Cluster, registered: Mapping[str, int] | None) -> Cluster:
    """Return the cluster with what consoles say of its nodes that have ended, and of those that lack workers.

    Args:
        registered: worker processes by private address; ``None`` if the scheduler was not asked.
    """
    ended = sorted(cluster.gone, key=lambda node: node.launched)[-MOST_ENDED:] if cluster.nodes else []
    lacking = [
        node
        for node in cluster.workers
        if registered is not None and node.is_up and registered.get(node.private_address, 0) < cluster.nprocs
    ][:MOST_ENDED]
    found = gather(*(partial(_trouble, edge, node) for node in (*ended, *lacking)))
    troubles = {node.id: trouble for node, trouble in zip((*ended, *lacking), found, strict=True)}

    def told(nodes: Iterable[Node]) -> tuple[Node, ...]:
        return tuple(replace(node, trouble=troubles.get(node.id, "")) for node in nodes)

    return replace(cluster, nodes=told(cluster.nodes), gone=told(cluster.gone)) if any(found) else cluster


def _trouble(edge: ClusterQueries, node: Node) -> str:
    try:
        console = edge.console_output(node.id)
    except BakeError:  # only a message needs it
        console = ""
    return memory_trouble(console) if node.is_up else death_reason(console, node.state_reason)


def _tags(nodes: Iterable[Node], groups: Iterable[SecurityGroup]) -> list[Tags]:
    return [node.tags for node in nodes] + [group.tags for group in groups]
