"""Finding a cluster by its name, or as the only one; clusters of a bake do not count."""

from dataclasses import replace

import pytest

from dask_bake.clusters.inventory import find, list_clusters, with_troubles
from dask_bake.errors import BakeError, UsageError
from dask_bake.models.tags import Tag
from fakes import CLOUD, FakeCloud, Fault, a_cluster, a_plan, head_of

BAKING = "image-0123456789ab"


def holding(*names: str) -> FakeCloud:
    """Return an EC2 with these clusters."""
    cloud = FakeCloud()
    for name in names:
        spec = head_of(a_plan(name="docs"))
        tags = tuple({**dict(spec.tags), Tag.CLUSTER: name}.items())
        cloud.run_instances(replace(spec, tags=tags, client_token=name))
    return cloud


@pytest.mark.parametrize(
    ("there", "name", "found"),
    [
        (("docs",), None, "docs"),
        (("docs", "taxi"), "taxi", "taxi"),
        (("docs", BAKING, f"{BAKING}-proof"), None, "docs"),
        (("docs", BAKING), BAKING, BAKING),
    ],
)
def test_a_cluster_is_found_by_name_or_as_the_only_one(there, name, found):
    assert find(holding(*there), CLOUD, name).name == found


@pytest.mark.parametrize(
    ("there", "name", "message"),
    [
        ((), None, "there is no cluster in aws us-east-1"),
        ((BAKING,), None, "there is no cluster in aws us-east-1"),
        (("docs",), "taxi", "there is no cluster named taxi in aws us-east-1"),
        (("docs", "taxi", BAKING), None, "there is more than one cluster: docs, taxi"),
    ],
)
def test_no_cluster_or_several_are_wrong_use(there, name, message):
    with pytest.raises(UsageError) as caught:
        find(holding(*there), CLOUD, name)
    assert caught.value.message == message


def owned(**owners: str) -> FakeCloud:
    """Return an EC2 with clusters of these owners."""
    cloud = holding(*owners)
    cloud.instances = [
        replace(node, tags=(*node.tags, (Tag.OWNER, owner)) if owner else node.tags)
        for node, owner in zip(cloud.instances, owners.values(), strict=True)
    ]
    return cloud


def test_without_a_name_the_caller_s_only_cluster_is_found_among_others():
    assert find(owned(docs="bob", taxi="anna", tips=""), CLOUD, None).name == "taxi"


@pytest.mark.parametrize("owners", [{"docs": "anna", "taxi": "anna"}, {"docs": "bob", "taxi": ""}])
def test_without_a_name_none_or_several_of_the_caller_s_are_wrong_use(owners):
    with pytest.raises(UsageError, match="there is more than one cluster: docs, taxi"):
        find(owned(**owners), CLOUD, None)


def test_a_cluster_with_nodes_of_two_owners_is_not_the_caller_s():
    cloud = owned(docs="anna", taxi="bob")
    first = cloud.instances[0]
    cloud.instances.append(replace(first, id="i-9", tags=(*first.tags[:-1], (Tag.OWNER, "bob"))))

    assert find(cloud, CLOUD, "docs").owners == ("anna", "bob")
    with pytest.raises(UsageError, match="there is more than one cluster"):
        find(cloud, CLOUD, None)


def test_the_list_includes_the_clusters_of_a_bake():
    assert [each.name for each in list_clusters(holding("docs", BAKING), CLOUD)] == ["docs", BAKING]


def test_consoles_say_what_nodes_died_of_or_lack_workers_for():
    """Nodes that have their workers are not asked."""
    cluster = a_cluster()
    head, first, second = cluster.nodes
    cluster = replace(cluster, nodes=(head, first), gone=(replace(second, state="terminated"),))
    cloud = FakeCloud(console="Out of memory: Killed process 7 (python)\n")
    trouble = "its memory ran out: the kernel ended python"

    found = with_troubles(cloud, cluster, {first.private_address: cluster.nprocs - 1})
    assert [node.trouble for node in (*found.nodes, *found.gone)] == ["", trouble, trouble]

    cloud.calls.clear()
    whole = replace(cluster, gone=())
    assert with_troubles(cloud, whole, {first.private_address: cluster.nprocs}) == whole
    assert with_troubles(cloud, whole, None) == whole
    assert cloud.calls == []


def test_a_console_that_cannot_be_read_leaves_the_reason_out():
    cluster = a_cluster()
    cluster = replace(cluster, nodes=cluster.nodes[:2], gone=cluster.nodes[2:])
    cloud = FakeCloud(faults=[Fault("console_output", BakeError("denied"))])
    assert with_troubles(cloud, cluster, None) == cluster
