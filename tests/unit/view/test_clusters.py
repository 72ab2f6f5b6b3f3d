"""What is shown fits 80 columns, needs no colour, and never takes data for markup."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from io import StringIO

import pytest
from rich.console import Console

from dask_bake.errors import BakeError, UsageError
from dask_bake.events import ClusterSeen, PhaseEnded, PhaseStarted
from dask_bake.models.resources import QUIET
from dask_bake.models.tags import Tag
from dask_bake.view import cluster_json, clusters, layout
from dask_bake.view.cluster_json import cluster_document, metadata_document, plan_document
from dask_bake.view.launch_plan import plan_view
from dask_bake.view.progress import LaunchProgress
from fakes import FakeClock, a_cluster, a_plan

NOW = datetime(2026, 1, 2, 1, 0, tzinfo=UTC)
CLUSTER = a_cluster()


def shown(renderable) -> str:
    console = Console(file=StringIO(), width=80, highlight=False, record=True)
    console.print(renderable)
    return "\n".join(line.rstrip() for line in console.export_text().splitlines())


def test_the_end_of_a_launch_says_how_to_use_it_and_how_to_end_it():
    assert shown(clusters.ready_panel(CLUSTER, registered=4, seconds=5.94, calls=12)) == (
        "╭─  dask is ready after 5.9 s and 12 EC2 calls  ───────────────────────────────╮\n"
        "│ Scheduler    tcp://10.0.0.4:8786                                             │\n"
        "│ Workers      4 on 2 nodes, 16 threads                                        │\n"
        "│ On the head  dask-bake ssh                                                   │\n"
        "│              then ipython, and: from distributed import Client; c = Client() │\n"
        "│ From here    from dask_bake.api import connect; c = connect()                │\n"
        "│ Dashboard    dask-bake connect                                               │\n"
        "│              opens it and JupyterLab on this machine                         │\n"
        "│ End it       dask-bake down                                                  │\n"
        "╰──────────────────────────────────────────────────────────────────────────────╯"
    )


def test_another_clusters_panel_names_it():
    text = shown(clusters.ready_panel(a_cluster(a_plan(name="taxi")), registered=4, seconds=5, calls=12))

    for words in (
        "dask-bake ssh --name taxi",
        "dask-bake connect taxi",
        "dask-bake down taxi",
        'connect("taxi")',
    ):
        assert words in text


def test_what_a_cluster_costs_is_told_where_it_is_known():
    panel = shown(clusters.ready_panel(CLUSTER, registered=4, seconds=5, calls=12, cost="$0.65 an hour"))

    assert "│ Cost         $0.65 an hour  " in panel
    assert "Cost" not in shown(clusters.ready_panel(CLUSTER, registered=4, seconds=5, calls=12))


def test_a_cluster_without_dask_is_its_nodes():
    cluster = a_cluster(a_plan(dask=False))

    assert shown(clusters.ready_panel(cluster, registered=0, seconds=5.94, calls=12)) == (
        "╭─  dask is ready after 5.9 s and 12 EC2 calls  ───────────────────────────────╮\n"
        "│ Nodes        3, without Dask                                                 │\n"
        "│ On the head  dask-bake ssh                                                   │\n"
        "│ End it       dask-bake down                                                  │\n"
        "╰──────────────────────────────────────────────────────────────────────────────╯"
    )
    assert shown(clusters.cluster_view(cluster, None, NOW)) == (
        "dask  aws us-east-1, up 60 min, without Dask\n"
        "#   role     instance   address    state     workers\n"
        "────────────────────────────────────────────────────\n"
        "0   head     i-0        10.0.0.4   running\n"
        "1   worker   i-1        10.0.0.5   running\n"
        "2   worker   i-2        10.0.0.6   running"
    )
    assert cluster_document(cluster)["scheduler"] == ""


def test_a_cluster_without_dask_has_no_address():
    with pytest.raises(UsageError, match="no Dask was started on dask"):
        cluster_json.address_document(a_cluster(a_plan(dask=False)))


def test_clusters_are_one_line_each():
    assert shown(clusters.clusters_table([CLUSTER], NOW)) == (
        "cluster   where           nodes   workers   type             age\n"
        "────────────────────────────────────────────────────────────────\n"
        "dask      aws us-east-1       3         4   m6i.2xlarge   60 min"
    )


def test_no_clusters_are_said_to_be_none():
    assert shown(clusters.clusters_table([], NOW)) == "There are no clusters."


def test_a_cluster_shows_its_nodes_and_their_workers():
    assert shown(clusters.cluster_view(CLUSTER, {"10.0.0.5": 2, "10.0.0.6": 1}, NOW)) == (
        "dask  aws us-east-1, up 60 min, 3 of 4 workers registered\n"
        "#   role     instance   address    state     workers\n"
        "────────────────────────────────────────────────────\n"
        "0   head     i-0        10.0.0.4   running\n"
        "1   worker   i-1        10.0.0.5   running    2 of 2\n"
        "2   worker   i-2        10.0.0.6   running    1 of 2"
    )


def test_a_cluster_without_nodes_says_what_that_is():
    assert "only its security group" in shown(clusters.cluster_view(replace(CLUSTER, nodes=()), None, NOW))


@pytest.mark.parametrize(("name", "has_ended"), [("dask", True), ("image-0123456789ab", False)])
def test_groups_that_stayed_when_a_cluster_ended_are_told_as_that(name, has_ended):
    begun = (NOW - QUIET).isoformat()
    groups = (replace(CLUSTER.groups[0], tags=((Tag.CREATED, begun),)),)
    text = shown(clusters.cluster_view(replace(CLUSTER, name=name, nodes=(), groups=groups), None, NOW))

    said = "Cluster dask has ended by itself; its security groups still hold the name. dask-bake down dask"
    assert (said in " ".join(text.split())) is has_ended


def test_a_plan_shows_each_call_and_what_each_role_is_told():
    text = shown(plan_view(a_plan()))

    for words in ("1. CreateSecurityGroup", "5. RunInstances", "#cloud-config", "10.0.0.0 stands for"):
        assert words in text


def test_data_is_never_markup():
    error = BakeError("[red]no[/red] such [thing", hint="[b]")

    assert shown(layout.error_text(error)) == "Error: [red]no[/red] such [thing\nHint: [b]"


@pytest.mark.parametrize(
    "document", [cluster_document(CLUSTER), plan_document(a_plan()), metadata_document(CLUSTER, "k")]
)
def test_documents_are_json(document):
    assert json.loads(layout.as_json(document)) == document


def test_a_launch_is_shown_as_nodes_and_phases_with_their_times():
    clock = FakeClock()
    launch = LaunchProgress(clock)
    launch.update(PhaseStarted("instances"))
    clock.sleep(0.4)
    pending = replace(CLUSTER, nodes=tuple(replace(node, state="pending") for node in CLUSTER.nodes))
    launch.update(ClusterSeen(pending))
    launch.update(PhaseEnded("instances", 0.4))
    clock.sleep(2)
    launch.update(ClusterSeen(CLUSTER))
    launch.update(PhaseEnded("scheduler", 1.5))
    clock.sleep(1)
    launch.update(ClusterSeen(CLUSTER, (("10.0.0.5", 2),)))

    assert shown(launch) == (
        "#   role     address    requested   running   ready   workers\n"
        "─────────────────────────────────────────────────────────────\n"
        "0   head     10.0.0.4       0.4 s     2.4 s   2.4 s\n"
        "1   worker   10.0.0.5       0.4 s     2.4 s   3.4 s    2 of 2\n"
        "2   worker   10.0.0.6       0.4 s     2.4 s       ·    0 of 2\n"
        "\n"
        "✓ instances 0.4 s   ✓ scheduler 1.5 s"
    )


def test_where_there_is_no_terminal_a_launch_is_lines():
    clock = FakeClock()
    launch = LaunchProgress(clock)
    clock.sleep(1.25)

    assert launch.update(PhaseStarted("workers")) is None
    assert launch.update(ClusterSeen(CLUSTER)) is None
    assert launch.update(ClusterSeen(CLUSTER, (("10.0.0.5", 2),))) == "   1.2 s  2 of 4 workers"
    assert launch.update(PhaseEnded("workers", 0.5)) == "   1.2 s  workers (0.5 s)"


def test_a_large_launch_shows_the_nodes_that_are_awaited_and_counts_the_rest():
    launch = LaunchProgress(FakeClock())
    cluster = a_cluster(a_plan(count=101, nprocs=1))
    launch.update(ClusterSeen(cluster, tuple((node.private_address, 1) for node in cluster.workers[:90])))

    lines = shown(launch).splitlines()
    assert len(lines) < 30
    assert "90 of 101 nodes are ready" in lines


PORTS = {8787: 40001, 8786: 40002, 8888: 40003}


@pytest.mark.parametrize(
    ("token", "names"), [("t0", ["Dashboard", "JupyterLab", "Scheduler"]), ("", ["Dashboard", "Scheduler"])]
)
def test_jupyterlab_is_shown_where_the_image_has_it(token, names):
    """It has a token there, and none where it was never started."""
    addresses = cluster_json.addresses(PORTS, token=token)
    told = shown(clusters.connection_panel(addresses))
    assert [line.split()[1] for line in told.splitlines()[1:-2]] == names
    assert addresses.get("jupyter") == ("http://127.0.0.1:40003/lab?token=t0" if token else None)
