"""Clusters as text, at 80 columns and without colour, and as data."""

import io
import re
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dask_bake.clusters.auto_shutdown import ShutdownTimer
from dask_bake.errors import UsageError
from dask_bake.launch.pricing import Cost, Item
from dask_bake.models.cluster import Cluster
from dask_bake.models.tags import Tag
from dask_bake.notebooks.folder import SavedNotebooks
from dask_bake.view import cluster_json, clusters
from dask_bake.view.cluster_json import cluster_document
from dask_bake.view.console import FittingConsole
from fakes import a_cluster, a_plan
from rendering import rendered

NOW = datetime(2026, 1, 2, 1, 0, tzinfo=UTC)
CLUSTER = a_cluster()


def test_the_result_of_a_launch_shows_how_to_use_and_how_to_end_the_cluster():
    assert rendered(clusters.ready_panel(CLUSTER, registered=4, seconds=5.94)) == (
        "╭─  dask is ready after 5.9 s  ────────────────────────────────────────────────╮\n"
        "│ Scheduler    tcp://10.0.0.4:8786                                             │\n"
        "│ Workers      4 on 2 nodes, 16 threads                                        │\n"
        "│ On the head  dask-bake ssh dask                                              │\n"
        "│              then ipython, and: from distributed import Client; c = Client() │\n"
        '│ From here    from dask_bake import connect; c = connect("dask")              │\n'
        "│ Dashboard    dask-bake connect dask                                          │\n"
        "│              forwards it and JupyterLab to this machine                      │\n"
        "│ End it       dask-bake down dask                                             │\n"
        "╰──────────────────────────────────────────────────────────────────────────────╯"
    )


def test_a_cluster_is_shown_with_the_cost_of_its_instances():
    text = rendered(clusters.cluster_view(CLUSTER, None, NOW, cost="$0.65 an hour"))

    assert "Its instances cost $0.65 an hour." in text.splitlines()
    assert "cost" not in rendered(clusters.cluster_view(CLUSTER, None, NOW))


def test_the_cost_and_the_end_are_shown_if_they_are_known():
    panel = rendered(
        clusters.ready_panel(CLUSTER, registered=4, seconds=5, cost="$0.65 an hour", ends="after 12 h")
    )

    assert "│ Cost         $0.65 an hour  " in panel
    assert "│ Ends         after 12 h  " in panel
    assert "Cost" not in rendered(clusters.ready_panel(CLUSTER, registered=4, seconds=5))


def test_a_cluster_without_dask_shows_its_nodes():
    cluster = a_cluster(a_plan(dask=False))

    assert rendered(clusters.ready_panel(cluster, registered=0, seconds=5.94)) == (
        "╭─  dask is ready after 5.9 s  ────────────────────────────────────────────────╮\n"
        "│ Nodes        3, without Dask                                                 │\n"
        "│ On the head  dask-bake ssh dask                                              │\n"
        "│ End it       dask-bake down dask                                             │\n"
        "╰──────────────────────────────────────────────────────────────────────────────╯"
    )
    assert rendered(clusters.cluster_view(cluster, None, NOW)) == (
        "dask  aws us-east-1, owner ?, up 60 min, without Dask\n"
        "#   role     instance   address    state     workers\n"
        "────────────────────────────────────────────────────\n"
        "0   head     i-0        10.0.0.4   running\n"
        "1   worker   i-1        10.0.0.5   running\n"
        "2   worker   i-2        10.0.0.6   running"
    )
    assert cluster_document(cluster)["scheduler"] == ""


def test_a_cluster_without_dask_has_no_addresses():
    with pytest.raises(UsageError, match="cluster dask runs no Dask, so it has no addresses"):
        cluster_json.address_document(a_cluster(a_plan(dask=False)))


def test_the_list_has_a_line_for_each_cluster():
    assert rendered(clusters.clusters_table([CLUSTER], NOW)) == (
        "In aws us-east-1:\n"
        "cluster   owner   nodes   workers   type             age   ends\n"
        "───────────────────────────────────────────────────────────────\n"
        "dask      ?           3         4   m6i.2xlarge   60 min   idle"
    )


def test_the_list_shows_the_cost_an_hour_where_something_costs_money():
    cost = Cost((Item("m6i.2xlarge", 3, 0.384),))

    assert rendered(clusters.clusters_table([CLUSTER], NOW, [cost])) == (
        "In aws us-east-1:\n"
        "cluster   owner   nodes   workers   type           $/h      age   ends\n"
        "──────────────────────────────────────────────────────────────────────\n"
        "dask      ?           3         4   m6i.2xlarge   1.15   60 min   idle"
    )


def of(owner: str, name: str = "dask") -> Cluster:
    """Return a cluster with this tag of its owner."""
    cluster = a_cluster(a_plan(name=name))
    nodes = tuple(replace(node, tags=(*node.tags, (Tag.OWNER, owner))) for node in cluster.nodes)
    return replace(cluster, nodes=nodes)


def test_the_list_names_owners_in_short_unless_two_have_the_same_name():
    found = [of("anna@example.com", "dask-anna"), of("bob@a", "taxi"), of("bob@b", "tips")]

    assert rendered(clusters.clusters_table(found, NOW)) == (
        "In aws us-east-1:\n"
        "cluster     owner   nodes   workers   type             age   ends\n"
        "─────────────────────────────────────────────────────────────────\n"
        "dask-anna   anna        3         4   m6i.2xlarge   60 min   idle\n"
        "taxi        bob@a       3         4   m6i.2xlarge   60 min   idle\n"
        "tips        bob@b       3         4   m6i.2xlarge   60 min   idle"
    )


@pytest.mark.parametrize(
    ("tags", "shown"),
    [
        ({Tag.ENDS: (NOW + timedelta(hours=11)).isoformat(), Tag.IDLE_TIMEOUT: "1800"}, "11 h"),
        ({Tag.ENDS: (NOW - timedelta(hours=1)).isoformat(), Tag.IDLE_TIMEOUT: "0"}, "0 s"),
        ({Tag.IDLE_TIMEOUT: "1800"}, "idle"),
        ({Tag.IDLE_TIMEOUT: "0"}, "never"),
        ({}, "?"),
        ({Tag.ENDS: "tomorrow", Tag.IDLE_TIMEOUT: "soon"}, "?"),
        ({Tag.ENDS: "2026-01-02T12:00:00", Tag.IDLE_TIMEOUT: "-1"}, "?"),
    ],
)
def test_the_list_and_json_have_the_end_that_tags_name(tags, shown):
    """The tags of other versions, and those that somebody has changed, say nothing."""
    known = {Tag.ENDS, Tag.IDLE_TIMEOUT}
    nodes = tuple(
        replace(node, tags=tuple(({k: v for k, v in node.tags if k not in known} | tags).items()))
        for node in CLUSTER.nodes
    )
    cluster = replace(CLUSTER, nodes=nodes)
    document = cluster_document(cluster)

    assert rendered(clusters.clusters_table([cluster], NOW)).split("   ")[-1].strip() == shown
    assert document["ends"] == (tags[Tag.ENDS] if shown in ("11 h", "0 s") else None)
    assert document["idle_timeout"] == (None if shown == "?" else int(tags[Tag.IDLE_TIMEOUT]))


def test_the_longest_name_stays_whole_at_80_columns():
    name = "dask-maximiliane-von-hohenfels-x"

    for line in rendered(clusters.clusters_table([of("m" * 64, name)], NOW)).splitlines():
        assert len(line) <= 80


def test_an_owner_is_shown_and_documented_or_unknown():
    mine = of("anna@laptop")

    assert "owner anna@laptop, up 60 min" in rendered(clusters.cluster_view(mine, None, NOW))
    assert "owner ?, up 60 min" in rendered(clusters.cluster_view(CLUSTER, None, NOW))
    assert cluster_document(mine)["owner"] == "anna@laptop"
    assert (cluster_document(CLUSTER)["owner"], cluster_document(CLUSTER)["owner_arn"]) == (None, None)


def test_owners_that_somebody_else_tagged_are_shown_on_one_line():
    hostile = of("\x1b[2J\nanna" + "x" * 300)

    assert hostile.owner == "?[2J?anna" + "x" * 54 + "…"
    assert "\x1b" not in rendered(clusters.clusters_table([hostile], NOW))


def test_an_empty_list_of_clusters():
    assert rendered(clusters.clusters_table([], NOW)) == "There are no clusters."


def test_a_cluster_shows_its_nodes_and_their_workers():
    assert rendered(clusters.cluster_view(CLUSTER, {"10.0.0.5": 2, "10.0.0.6": 1}, NOW)) == (
        "dask  aws us-east-1, owner ?, up 60 min, 3 of 4 workers registered\n"
        "#   role     instance   address    state     workers\n"
        "────────────────────────────────────────────────────\n"
        "0   head     i-0        10.0.0.4   running\n"
        "1   worker   i-1        10.0.0.5   running    2 of 2\n"
        "2   worker   i-2        10.0.0.6   running    1 of 2"
    )


def test_a_cluster_without_nodes_is_explained():
    assert "only its security group" in rendered(clusters.cluster_view(replace(CLUSTER, nodes=()), None, NOW))


@pytest.mark.parametrize(("name", "has_ended"), [("dask", True), ("image-0123456789ab", False)])
def test_security_groups_of_a_cluster_that_ended_by_itself_are_explained(name, has_ended):
    begun = (NOW - timedelta(hours=2)).isoformat()
    groups = (replace(CLUSTER.groups[0], tags=((Tag.CREATED, begun),)),)
    text = rendered(clusters.cluster_view(replace(CLUSTER, name=name, nodes=(), groups=groups), None, NOW))

    explanation = "It shut itself down, more than an hour ago. Hint: dask-bake launch dask starts it again"
    assert (explanation in " ".join(text.split())) is has_ended


PORTS = {8787: 40001, 8888: 40003}


@pytest.mark.parametrize(
    ("token", "names"), [("t0", ["Dashboard", "JupyterLab", "Scheduler"]), ("", ["Dashboard", "Scheduler"])]
)
def test_jupyterlab_is_shown_if_the_image_has_it(token, names):
    """Its token exists only where JupyterLab was started."""
    addresses = cluster_json.addresses(Path("/run/8786"), PORTS, secret="s3cret", token=token)
    text = clusters.connection_text(addresses).plain
    assert text.splitlines()[:-1:3] == names
    assert addresses.get("jupyter") == ("http://127.0.0.1:40003/lab?token=t0" if token else None)


@pytest.mark.parametrize("is_terminal", [True, False])
def test_an_address_is_on_one_line_alone_however_narrow_the_output(is_terminal, monkeypatch):
    """A token that is cut in two is a wrong one."""
    monkeypatch.setenv("COLUMNS", "40")
    addresses = cluster_json.addresses(Path("/run/8786"), PORTS, secret="s" * 22, token="t" * 32)
    console = FittingConsole(file=io.StringIO(), force_terminal=is_terminal, no_color=True)
    console.print(clusters.connection_text(addresses), soft_wrap=True)

    printed = [re.sub(r"\x1b\[[\d;]*m", "", line) for line in console.file.getvalue().splitlines()]
    assert {addresses["dashboard"], addresses["jupyter"]} <= set(printed)


@pytest.mark.parametrize(
    ("saved", "text"),
    [
        (SavedNotebooks(), ""),
        (SavedNotebooks(Path("/me"), ("a.ipynb",)), "1 notebook saved in /me."),
        (
            SavedNotebooks(Path("/me"), ("a.ipynb", "b.ipynb"), ("c.ipynb",)),
            "2 notebooks saved in /me.\n"
            "Too large or impossible to save, and lost when the cluster ends: c.ipynb.",
        ),
        (
            SavedNotebooks(lost=tuple("abcdef")),
            "Too large or impossible to save, and lost when the cluster ends: a, b, c, d, e, ….",
        ),
        (
            SavedNotebooks(trouble="nothing answers"),
            "If there are notebooks on its head, they are lost when the cluster ends: nothing answers.",
        ),
    ],
)
def test_down_says_what_was_saved_and_what_is_lost(saved, text):
    assert clusters.notebooks_text(saved).plain == text


LIFETIME = ShutdownTimer("lifetime", limit=43_200, left=43_000, held="", why="its lifetime of 12 h is over")
USED = ShutdownTimer(
    "idle", limit=1_800, left=1_800, held="a task is running", why="no client, task or session for 30 min"
)


def test_status_shows_a_near_shutdown_with_the_command_that_postpones_it():
    near = ShutdownTimer("lifetime", limit=43_200, left=240, held="", why="")
    calm, alarmed = (
        rendered(clusters.cluster_view(a_cluster(), None, NOW, [one, USED])) for one in (LIFETIME, near)
    )

    assert calm.endswith("It shuts down in 11 h 56 min at the latest.\nIt is in use: a task is running.")
    assert alarmed.endswith("\ndask-bake extend dask postpones it.")


def test_json_has_all_timers_and_null_if_the_head_was_not_asked():
    assert cluster_document(a_cluster(), {}, [LIFETIME])["switches"] == [asdict(LIFETIME)]
    assert cluster_document(a_cluster())["switches"] is None
