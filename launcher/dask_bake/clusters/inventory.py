"""Look-up of clusters by their tags, from any machine; nothing is recorded locally."""

import re
from collections.abc import Iterable

from dask_bake.ec2.protocols import ClusterApi
from dask_bake.errors import UsageError
from dask_bake.models.cloud import Cloud
from dask_bake.models.cluster import Cluster, Node
from dask_bake.models.ec2 import SecurityGroup
from dask_bake.models.tags import Tag, Tags

EVERY = {Tag.MANAGED: "true"}
OF_A_BAKE = re.compile(r"image-[0-9a-f]{12}(?:-proof)?")
"""Names of a bake's temporary instances, found as a cluster only when given by name."""


def list_clusters(edge: ClusterApi, cloud: Cloud) -> tuple[Cluster, ...]:
    """Return every cluster in the cloud's region, sorted by name, whoever launched it."""
    nodes = [node for node in edge.nodes(EVERY) if node.state != "terminated"]
    groups = edge.groups(EVERY)
    names = {dict(tags).get(Tag.CLUSTER, "") for tags in _tags(nodes, groups)} - {""}
    return tuple(_assemble(name, nodes, groups, cloud) for name in sorted(names))


def find(edge: ClusterApi, cloud: Cloud, name: str | None) -> Cluster:
    """Return the cluster of that name; without a name, the only cluster, not counting bakes.

    Raises:
        UsageError: if there is none, or more than one without a name.
    """
    clusters = list_clusters(edge, cloud)
    if name is None:
        clusters = tuple(cluster for cluster in clusters if not OF_A_BAKE.fullmatch(cluster.name))
    for cluster in clusters:
        if name == cluster.name or (name is None and len(clusters) == 1):
            return cluster
    names = ", ".join(cluster.name for cluster in clusters)
    if name is None and clusters:
        raise UsageError(f"there is more than one cluster: {names}", hint="say which one")
    where = f"in {cloud.name} {cloud.region}"
    raise UsageError(
        f"there is no cluster named {name} {where}" if name else f"there is no cluster {where}",
        hint=f"there is {names}" if names else "dask-bake launch starts one",
    )


def _assemble(name: str, nodes: Iterable[Node], groups: Iterable[SecurityGroup], cloud: Cloud) -> Cluster:
    own_nodes = tuple(node for node in nodes if dict(node.tags).get(Tag.CLUSTER) == name)
    own_groups = tuple(group for group in groups if dict(group.tags).get(Tag.CLUSTER) == name)
    tags = dict(_tags(own_nodes, own_groups)[0])
    return Cluster(
        name=name,
        cloud=cloud.name,
        region=cloud.region,
        launch_id=tags.get(Tag.LAUNCH, ""),
        nodes=tuple(sorted(own_nodes, key=lambda node: (node.index, node.id))),
        groups=own_groups,
    )


def _tags(nodes: Iterable[Node], groups: Iterable[SecurityGroup]) -> list[Tags]:
    return [node.tags for node in nodes] + [group.tags for group in groups]
