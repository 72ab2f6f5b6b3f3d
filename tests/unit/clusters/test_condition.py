"""The condition of a cluster, in the words of every command."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from dask_bake.clusters.condition import State, condition
from dask_bake.clusters.inventory import assemble, find, list_clusters
from dask_bake.ec2 import responses
from dask_bake.errors import BakeError, UsageError
from dask_bake.models.cluster import Cluster
from dask_bake.models.tags import Tag
from dask_bake.ssh.connect import find_node
from dask_bake.view import cluster_json
from dask_bake.view.clusters import cluster_view, clusters_table
from fakes import CLOUD, FakeCloud, Fault, a_cluster, a_plan, head_of, workers_of
from rendering import rendered

NOW = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
ENDED = datetime(2026, 1, 2, 2, 14, tzinfo=UTC)
BY_ITSELF = "Client.InstanceInitiatedShutdown: Instance initiated shutdown"
CONSOLE = "booting\n\x1b[32mDASK-BAKE-END idle: no client, task or session for 30 min\r\nreboot: Power down\n"


def seen(
    *states: str, reason: str = BY_ITSELF, end: str = "", age: timedelta = timedelta(hours=10)
) -> Cluster:
    """Return a cluster of a head and two workers, with these states of its nodes; "" is not listed."""
    whole = a_cluster()
    nodes = [
        replace(
            node,
            state=state,
            launched=NOW - age,
            ended=ENDED if state == "terminated" else None,
            state_reason=reason if state == "terminated" else "",
        )
        for node, state in zip(whole.nodes, states, strict=True)
        if state
    ]
    tags = (*whole.groups[0].tags, (Tag.CREATED, (NOW - age).isoformat()))
    groups = (replace(whole.groups[0], tags=tags),)
    return replace(assemble("dask", nodes, groups, CLOUD), end_reason=end)


GONE = "terminated"
CONDITIONS = {
    "up": (seen("running", "running", "pending"), State.UP, ""),
    "head gone": (
        seen(GONE, "running", "running"),
        State.DEGRADED,
        f"has no head node (i-0 ended at 02:14 UTC: {BY_ITSELF}), so that nothing can use its workers",
    ),
    "head gone for long": (
        seen("", "running", "running"),
        State.DEGRADED,
        "has no head node, so that nothing can use its workers",
    ),
    "head stopped": (
        seen("stopped", "running", "running"),
        State.DEGRADED,
        "has no head node (it is stopped), so that nothing can use its workers",
    ),
    "a worker gone": (
        seen("running", GONE, "running", reason="Server.SpotInstanceTermination: Spot"),
        State.DEGRADED,
        "has 1 of its 2 worker nodes (i-1 ended at 02:14 UTC: Server.SpotInstanceTermination: Spot)",
    ),
    "a worker gone for long": (seen("running", "", "running"), State.DEGRADED, "has 1 of its 2 worker nodes"),
    "a worker stopped": (
        seen("running", "stopped", "running"),
        State.DEGRADED,
        "has 1 of its 2 worker nodes",
    ),
    "all workers gone": (seen("running", "", ""), State.DEGRADED, "has 0 of its 2 worker nodes"),
    "workers to come": (
        seen("running", "", "", age=timedelta(minutes=1)),
        State.STARTING,
        "is being launched: it has no worker nodes yet",
    ),
    "shutting down": (
        seen(*3 * ("shutting-down",)),
        State.ENDED,
        "is being ended: its nodes are shutting down",
    ),
    "ended": (seen(*3 * (GONE,)), State.ENDED, "shut itself down at 2026-01-02 02:14 UTC"),
    "ended with its reason": (
        seen(*3 * (GONE,), end="no client, task or session for 30 min"),
        State.ENDED,
        "shut itself down at 2026-01-02 02:14 UTC: no client, task or session for 30 min",
    ),
    "ended by somebody": (
        seen(*3 * (GONE,), reason="Client.UserInitiatedShutdown: User initiated shutdown"),
        State.ENDED,
        "ended at 2026-01-02 02:14 UTC (Client.UserInitiatedShutdown: User initiated shutdown)",
    ),
    "ended for long": (seen("", "", ""), State.ENDED, "shut itself down, more than an hour ago"),
    "a launch that was killed": (
        seen("", "", "", age=timedelta(minutes=20)),
        State.ENDED,
        "never had a node: its launch was interrupted",
    ),
    "a launch that begins": (
        seen("", "", "", age=timedelta(minutes=1)),
        State.STARTING,
        "has no nodes, only its security group: its launch is starting or was interrupted",
    ),
}


@pytest.mark.parametrize(("cluster", "state", "text"), CONDITIONS.values(), ids=CONDITIONS)
def test_the_condition_says_what_is_missing_or_how_the_cluster_ended(cluster, state, text):
    its = condition(cluster, NOW)

    assert (its.state, its.text) == (state, text)
    assert bool(its.hint) == bool(its.brief) == bool(text)


def test_with_min_workers_the_least_number_of_workers_is_the_size():
    cluster = a_cluster(a_plan(count=9, min_workers=4))

    assert (cluster.size, len(cluster.workers)) == (9, 8)
    assert condition(replace(cluster, nodes=cluster.nodes[:3]), NOW).state is State.UP
    assert condition(replace(cluster, nodes=cluster.nodes[:2]), NOW).brief == "1 of 2 worker nodes"


@pytest.fixture
def ended():
    """EC2 with a cluster that powered itself off, and with its security group."""
    plan = a_plan()
    cloud = FakeCloud(console=CONSOLE, dying={"i-0": BY_ITSELF, "i-1": BY_ITSELF, "i-2": BY_ITSELF})
    cloud.create_security_group(plan.group_name, vpc_id="vpc-1", tags=plan.group_tags)
    (head,) = cloud.run_instances(head_of(plan))
    cloud.run_instances(workers_of(plan, head.private_address))
    cloud.nodes({})
    return cloud


def test_an_ended_cluster_is_found_with_the_reason_and_has_no_node(ended):
    cluster = find(ended, CLOUD, None)

    with pytest.raises(UsageError) as caught:
        find_node(cluster, 0)
    assert caught.value.message == "cluster dask shut itself down: no client, task or session for 30 min"
    assert "starts it again" in caught.value.hint


def test_without_its_console_it_is_found_all_the_same(ended):
    ended.faults.append(Fault("console_output", BakeError("denied")))

    assert find(ended, CLOUD, "dask").end_reason == ""


def test_without_a_name_a_cluster_that_is_up_is_found_besides_an_ended_one(ended):
    spec = head_of(a_plan(name="docs"))
    ended.run_instances(replace(spec, client_token="docs"))

    assert find(ended, CLOUD, None).name == "docs"


def tagged(cluster: Cluster, index: int, **tags: str) -> Cluster:
    """Return the cluster with other tags of one node, as EC2 would describe it."""
    answer = {
        "InstanceId": f"i-{index}",
        "State": {"Name": "running"},
        "AmiLaunchIndex": 0,
        "Tags": [
            {"Key": key, "Value": value}
            for key, value in {
                **dict(cluster.nodes[index].tags),
                **{f"dask-bake:{k}": v for k, v in tags.items()},
            }.items()
        ],
    }
    others = [node for node in cluster.nodes if node is not cluster.nodes[index]]
    return assemble("dask", [*others, responses.node(answer)], cluster.groups, CLOUD)


@pytest.mark.parametrize(
    ("cluster", "text"),
    [
        (
            tagged(seen("running", "running", "running"), 2, role="monitor"),
            "i-2 has the unknown role 'monitor'",
        ),
        (tagged(seen("running", "running", "running"), 2, role=""), "i-2 has the unknown role ''"),
        (
            tagged(seen("running", "running", "running"), 1, nprocs="many"),
            "the tag dask-bake:nprocs is 'many'",
        ),
        (tagged(seen("running", "running", "running"), 1, count="-3"), "the tag dask-bake:count is '-3'"),
        (
            tagged(seen("running", "running", "running"), 1, nprocs="\u0663"),
            "the tag dask-bake:nprocs is '\u0663'",
        ),
        (
            tagged(seen("running", "running", "running"), 0, connect="quic"),
            "the tag dask-bake:connect is 'quic'",
        ),
    ],
)
def test_parts_with_unknown_tags_are_shown_as_foreign(cluster, text):
    its = condition(cluster, NOW)

    assert (its.state in (State.FOREIGN, State.DEGRADED), text in "; ".join(cluster.foreign_parts)) == (
        True,
        True,
    )
    assert find_node(cluster, 0).role == "head"
    assert cluster_json.cluster_document(cluster, its=its)["workers_expected"] >= 0
    assert "dask" in rendered(clusters_table([cluster], NOW))
    assert "dask" in rendered(cluster_view(cluster, None, NOW))


def test_a_foreign_instance_is_not_a_node_to_connect_to():
    cluster = tagged(seen("running", "running", "running"), 2, role="monitor")

    assert find_node(cluster, 1).id == "i-1"
    assert [node.role for node in cluster.nodes][-1] is None


@pytest.mark.parametrize("name", ["dask/../../../../.ssh", "..", "Dask", "x" * 33, "a b"])
def test_a_cluster_with_a_name_that_dask_bake_does_not_give_is_listed_and_not_acted_on(name):
    spec = head_of(a_plan())
    cloud = FakeCloud()
    cloud.run_instances(replace(spec, tags=tuple({**dict(spec.tags), Tag.CLUSTER: name}.items())))

    (listed,) = list_clusters(cloud, CLOUD)
    assert condition(listed, NOW).state is State.FOREIGN
    for asked, message in ((None, "there is no cluster in"), (name, "was not launched by dask-bake")):
        with pytest.raises(UsageError, match=message):
            find(cloud, CLOUD, asked)
