"""Views of clusters: a finished launch, connections, lists, one cluster and its time-outs."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from dask_bake.clusters.auto_shutdown import ShutdownTimer, is_near, sentences
from dask_bake.clusters.condition import Condition, State, condition
from dask_bake.hints import cluster_command, complete, python_call
from dask_bake.launch.pricing import Cost, amount
from dask_bake.models.cloud import Role
from dask_bake.models.cluster import Cluster, Node
from dask_bake.notebooks.folder import SavedNotebooks
from dask_bake.scaling.keep import has_given_up
from dask_bake.scaling.keep import sentence as keep_sentence
from dask_bake.view import layout
from dask_bake.view.cluster_json import scheduler_address

CONDITION_STYLES = {State.DEGRADED: "red", State.ENDED: "yellow", State.FOREIGN: "magenta"}
MOST_NAMED = 5
"""Notebooks that are named."""
STATE_STYLES = {"running": "green", "pending": "yellow", "shutting-down": "yellow", "terminated": "red"}


def ready_panel(
    cluster: Cluster,
    *,
    registered: int,
    seconds: float,
    cost: str | None = None,
    ends: str = "",
    flags: Sequence[str] = (),
) -> Panel:
    """Return the result of a launch: the cluster, how to use it, its cost if known, and its end."""
    commands = (cluster_command(each, cluster.name) for each in ("ssh", "connect", "down"))
    ssh, connect, down = (complete(each, flags) for each in commands)
    shell = ("On the head", Text(ssh, "bold"))
    there, threads = len(cluster.workers), registered * cluster.nthreads
    workers = f"{registered} on {layout.counted(there, 'node')}, {layout.counted(threads, 'thread')}"
    call = python_call(cluster.name, flags=flags)
    dask = (
        ("Scheduler", Text(scheduler_address(cluster), "cyan")),
        ("Workers", workers),
        shell,
        ("", "then ipython, and: from distributed import Client; c = Client()"),
        ("From here", f"from dask_bake import connect; c = {call}"),
        ("Dashboard", Text(connect, "bold")),
        ("", "forwards it and JupyterLab to this machine"),
    )
    nodes = (("Nodes", f"{len(cluster.nodes)}, without Dask"), shell)
    price = (("Cost", cost),) if cost else ()
    end = (("Ends", ends),) if ends else ()
    rows = (*(dask if cluster.has_dask else nodes), *price, *end, ("End it", Text(down, "bold")))
    return _panel(f" {cluster.name} is ready after {seconds:.1f} s ", rows)


def connection_text(addresses: Mapping[str, str]) -> Text:
    """Return the local addresses of a connection that is open, each on a line of its own, to be copied whole.

    Print it with ``soft_wrap``: a token that was cut in two is a wrong one.
    """
    names = {"dashboard": "Dashboard", "jupyter": "JupyterLab", "scheduler": "Scheduler"}
    text = Text()
    for key, name in names.items():
        if key in addresses:
            text.append(f"{name}\n", "dim").append(f"{addresses[key]}\n\n", "cyan")
    return text.append("Ctrl-C closes the connection; the cluster stays up.")


def notebooks_text(saved: SavedNotebooks) -> Text:
    """Return which notebooks of a head were saved, and which end with the cluster; "" if there are none."""
    lines = []
    if saved.saved:
        lines.append(f"{layout.counted(len(saved.saved), 'notebook')} saved in {saved.folder}.")
    if saved.lost:
        them = ", ".join(saved.lost[:MOST_NAMED]) + (", …" if len(saved.lost) > MOST_NAMED else "")
        lines.append(f"Too large or impossible to save, and lost when the cluster ends: {them}.")
    if saved.trouble:
        which = "more notebooks" if saved.saved or saved.lost else "notebooks"
        lines.append(
            f"If there are {which} on its head, they are lost when the cluster ends: {saved.trouble}."
        )
    return Text("\n".join(lines), "yellow" if saved.is_lossy else "")


def address_panel(cluster: Cluster, addresses: Mapping[str, str]) -> Panel:
    """Return the addresses of a cluster's services, within the cluster and from this machine."""
    rows = (
        ("Scheduler", Text(addresses["scheduler"], "cyan")),
        ("", "within the cluster only"),
        ("Dashboard", Text(addresses["dashboard_on_head"], "cyan")),
        ("", "on the head node only"),
        ("From here", Text(addresses["python"], "bold")),
        ("", Text(addresses["browser"], "bold")),
    )
    return _panel(cluster.name, rows)


def clusters_table(
    clusters: Sequence[Cluster], now: datetime, costs: Sequence[Cost] | None = None
) -> RenderableType:
    """Return a table with a line for each cluster; a column for states is there if one is not up.

    The column ``ends`` is the time that is left of its lifetime, or that it ends when it is idle.

    Args:
        costs: the cost of each cluster, where something costs money.
    """
    if not clusters:
        return Text("There are no clusters.")
    found = [condition(cluster, now) for cluster in clusters]
    states = ("state",) if any(each.state is not State.UP for each in found) else ()
    prices = () if costs is None else (">$/h",)
    headings = ("cluster", "owner", ">nodes", ">workers", "type", *prices, ">age", ">ends", *states)
    table = layout.table(*headings)
    owners = short_names({cluster.owner for cluster in clusters})
    for cluster, its, cost in zip(clusters, found, costs or [Cost()] * len(found), strict=True):
        running = sum(node.state == "running" for node in cluster.nodes)
        table.add_row(
            Text(cluster.name, "bold"),
            Text(owners[cluster.owner]),
            Text(f"{running} of {len(cluster.nodes)}" if running < len(cluster.nodes) else str(running)),
            Text(str(cluster.expected_workers)),
            Text(", ".join(sorted({node.instance_type for node in cluster.nodes}))),
            *(Text(amount(cost)) for _ in prices),
            Text(_age(cluster, now)),
            Text(_ends(cluster, now)),
            *(Text(its.brief or str(its.state), CONDITION_STYLES.get(its.state, "")) for _ in states),
        )
    places = dict.fromkeys(f"{cluster.cloud} {cluster.region}" for cluster in clusters)
    return Group(Text(f"In {', '.join(places)}:", "dim"), table)


def short_names(owners: Collection[str]) -> dict[str, str]:
    """Return each owner's name up to the ``@`` if no other has the same, else all of it; ``?`` for none."""
    names = Counter(owner.partition("@")[0] for owner in owners)
    short = {owner: name for owner in owners if names[name := owner.partition("@")[0]] == 1}
    return {owner: short.get(owner) or owner or "?" for owner in owners}


def cluster_view(
    cluster: Cluster,
    registered: Mapping[str, int] | None,
    now: datetime,
    timers: Sequence[ShutdownTimer] | None = None,
    flags: Sequence[str] = (),
    cost: str | None = None,
) -> RenderableType:
    """Return a cluster: its nodes with their worker processes, its cost, and the timers that will end it."""
    its = condition(cluster, now)
    lines: list[RenderableType] = [
        Text.assemble((cluster.name, "bold"), _summary(cluster, registered, now, its))
    ]
    if cluster.nodes:
        lines.append(_nodes_table(cluster, registered))
    if its.text:
        style = CONDITION_STYLES.get(its.state, "")
        lines.append(Text(f"It {its.text}.\nHint: {complete(its.hint, flags)}", style))
    lines += [
        Text(f"Node {node.index}: {node.trouble}.", "red") for node in cluster.known_nodes if node.trouble
    ]
    if kept := keep_sentence(cluster, now):
        lines.append(Text(kept, "yellow" if has_given_up(cluster, now) else "dim"))
    if cost:
        lines.append(Text(f"Its instances cost {cost}.", "dim"))
    if timers:
        lines.append(timers_text(cluster, timers, flags))
    return Group(*lines)


def timers_text(cluster: Cluster, timers: Sequence[ShutdownTimer], flags: Sequence[str] = ()) -> Text:
    """Return when a cluster ends by itself, and the command that puts it off."""
    near = is_near(timers)
    text = Text("\n".join(sentences(timers)), "yellow" if near else "dim")
    extend = complete(cluster_command("extend", cluster.name), flags)
    return text.append(f"\n{extend} postpones it.") if near else text


def _summary(cluster: Cluster, registered: Mapping[str, int] | None, now: datetime, its: Condition) -> str:
    where = f"  {cluster.cloud} {cluster.region}, owner {cluster.owner or '?'}, "
    if not cluster.nodes:
        return f"{where}{its.brief}"
    count = "?" if registered is None else str(sum(registered.values()))
    workers = f"{count} of {cluster.expected_workers} workers registered"
    return f"{where}up {_age(cluster, now)}, {workers if cluster.has_dask else 'without Dask'}"


def _nodes_table(cluster: Cluster, registered: Mapping[str, int] | None) -> Table:
    table = layout.table(">#", "role", "instance", "address", "state", ">workers")
    for node in cluster.nodes:
        table.add_row(
            Text("" if node.role is None else str(node.index)),
            Text(node.role_text),
            Text(node.id),
            Text(node.address),
            Text(node.state, STATE_STYLES.get(node.state, "")),
            Text(_workers(node, cluster, registered)),
        )
    return table


def _workers(node: Node, cluster: Cluster, registered: Mapping[str, int] | None) -> str:
    if node.role is not Role.WORKER or not cluster.has_dask:
        return ""
    count = "?" if registered is None else str(registered.get(node.private_address, 0))
    return f"{count} of {cluster.nprocs}"


def _panel(title: str, rows: Sequence[tuple[str, str | Text]]) -> Panel:
    return Panel(
        layout.pairs(rows), title=Text(title), title_align="left", border_style="green", padding=(0, 1)
    )


def _age(cluster: Cluster, now: datetime) -> str:
    launched = min((node.launched for node in cluster.nodes), default=None)
    return "" if launched is None else layout.age_text(now - launched)


def _ends(cluster: Cluster, now: datetime) -> str:
    if not any(node.is_up for node in cluster.nodes):
        return ""
    if cluster.ends is not None:
        return layout.age_text(cluster.ends - now)
    return {None: "?", 0: "never"}.get(cluster.idle_timeout, "idle")
