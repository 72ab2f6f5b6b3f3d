"""Clusters and errors as rich renderables; data is never markup."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from dask_bake.clusters.auto_shutdown import Switch, is_near, sentences
from dask_bake.clusters.inventory import OF_A_BAKE
from dask_bake.clusters.naming import ended_by_itself
from dask_bake.errors import BakeError
from dask_bake.hints import cluster_command, complete, python_call
from dask_bake.models.cluster import Cluster
from dask_bake.models.resources import only_names
from dask_bake.view.cluster_json import scheduler_address

STATE_STYLES = {"running": "green", "pending": "yellow", "shutting-down": "yellow", "terminated": "red"}


def error_text(error: BakeError, flags: Sequence[str] = ()) -> Text:
    """The sentence, and the way out."""
    text = Text.assemble(("Error: ", "bold red"), error.message)
    if error.hint:
        text.append("\n").append("Hint: ", "bold").append(complete(error.hint, flags))
    return text


def as_json(document: object) -> str:
    """The document, for a script."""
    return json.dumps(document, indent=2)


def ready_panel(
    cluster: Cluster,
    *,
    registered: int,
    seconds: float,
    calls: int,
    cost: str | None = None,
    flags: Sequence[str] = (),
) -> Panel:
    """The end of a launch: what is there, how to use it, what it costs if that is known, how to end it."""
    name = "" if cluster.name == "dask" else cluster.name
    ssh, connect, down = (complete(cluster_command(each, name), flags) for each in ("ssh", "connect", "down"))
    call = python_call(*filter(None, [name]), flags=flags)
    shell = ("On the head", ssh, "bold")
    dask = (
        ("Scheduler", scheduler_address(cluster), "cyan"),
        (
            "Workers",
            f"{registered} on {len(cluster.workers)} nodes, {registered * cluster.nthreads} threads",
            "",
        ),
        shell,
        ("", "then ipython, and: from distributed import Client; c = Client()", ""),
        ("From here", "from dask_bake.api import connect; c = " + call, ""),
        ("Dashboard", connect, "bold"),
        ("", "opens it and JupyterLab on this machine", ""),
    )
    nodes = (("Nodes", f"{len(cluster.nodes)}, on which no Dask was started", ""), shell)
    price = (("Cost", cost, ""),) if cost else ()
    rows = (*(dask if cluster.has_dask else nodes), *price, ("End it", down, "bold"))
    title = Text(f" {cluster.name} is ready after {seconds:.1f} s and {calls} EC2 calls ")
    return Panel(_pairs(rows), title=title, title_align="left", border_style="green", padding=(0, 1))


def connection_panel(addresses: Mapping[str, str]) -> Panel:
    """What can be opened on this machine while the connection lasts."""
    names = {"dashboard": "Dashboard", "jupyter": "JupyterLab", "scheduler": "Scheduler"}
    rows = [(name, addresses[key], "cyan") for key, name in names.items() if key in addresses]
    rows.append(("", "Ctrl-C ends the connection; the cluster stays.", ""))
    return Panel(_pairs(rows), border_style="green", padding=(0, 1), title="connected", title_align="left")


def address_panel(cluster: Cluster, addresses: Mapping[str, str]) -> Panel:
    """Where a cluster's services are: within it, and from here."""
    rows = (
        ("Scheduler", addresses["scheduler"], "cyan"),
        ("", "within the cluster alone", ""),
        ("Dashboard", addresses["dashboard_on_head"], "cyan"),
        ("", "on the head itself", ""),
        ("From here", addresses["python"], "bold"),
        ("", addresses["browser"], "bold"),
    )
    return Panel(_pairs(rows), title=cluster.name, title_align="left", border_style="green", padding=(0, 1))


def clusters_table(clusters: Sequence[Cluster], now: datetime) -> RenderableType:
    """Every cluster in one line."""
    if not clusters:
        return Text("There are no clusters.")
    table = _table("cluster", "where", ">nodes", ">workers", "type", ">age")
    for cluster in clusters:
        running = sum(node.state == "running" for node in cluster.nodes)
        table.add_row(
            Text(cluster.name, "bold"),
            Text(f"{cluster.cloud} {cluster.region}"),
            Text(f"{running} of {len(cluster.nodes)}" if running < len(cluster.nodes) else str(running)),
            Text(str(cluster.expected_workers)),
            Text(", ".join(sorted({node.instance_type for node in cluster.nodes}))),
            Text(_age(cluster, now)),
        )
    return table


def cluster_view(
    cluster: Cluster,
    registered: Mapping[str, int] | None,
    now: datetime,
    switches: Sequence[Switch] | None = None,
    *,
    flags: Sequence[str] = (),
) -> RenderableType:
    """One cluster: its nodes, the worker processes of each, and what ends it by itself."""
    seen = "?" if registered is None else str(sum(registered.values()))
    workers = (
        f"{seen} of {cluster.expected_workers} workers registered" if cluster.has_dask else "without Dask"
    )
    head = Text.assemble(
        (cluster.name, "bold"),
        f"  {cluster.cloud} {cluster.region}, up {_age(cluster, now) or '?'}, {workers}",
    )
    table = _table(">#", "role", "instance", "address", "state", ">workers")
    for node in cluster.nodes:
        workers = (
            ""
            if node.index == 0 or not cluster.has_dask
            else "?"
            if registered is None
            else str(registered.get(node.private_address, 0))
        )
        table.add_row(
            Text(str(node.index)),
            Text(str(node.role)),
            Text(node.id),
            Text(node.address),
            Text(node.state, STATE_STYLES.get(node.state, "")),
            Text(workers if node.index == 0 or not cluster.has_dask else f"{workers} of {cluster.nprocs}"),
        )
    lines: list[RenderableType] = [head, table]
    if not cluster.nodes:
        lines = [head, Text(_without_nodes(cluster, now, flags))]
    if switches:
        lines.append(switches_text(cluster, switches, flags))
    return Group(*lines)


def switches_text(cluster: Cluster, switches: Sequence[Switch], flags: Sequence[str] = ()) -> Text:
    """When a cluster ends by itself, and how that is put off."""
    near = is_near(switches)
    text = Text("\n".join(sentences(switches)), "yellow" if near else "dim")
    extend = complete(cluster_command("extend", cluster.name), flags)
    return text.append(f"\n{extend} puts it off.") if near else text


def _without_nodes(cluster: Cluster, now: datetime, flags: Sequence[str]) -> str:
    if OF_A_BAKE.fullmatch(cluster.name) or not only_names(cluster.groups, now):
        return "It has no nodes, only its security group: a launch that is beginning or was lost."
    ended = ended_by_itself(cluster.name)
    return complete(f"{ended.message[0].upper()}{ended.message[1:]}. {ended.hint}.", flags)


def _pairs(rows: Sequence[tuple[str, str, str]]) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for label, value, style in rows:
        grid.add_row(Text(label, "dim"), Text(value, style))
    return grid


def _table(*headings: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for heading in headings:
        table.add_column(
            heading.lstrip(">"),
            justify="right" if heading.startswith(">") else "left",
            no_wrap=True,
            overflow="fold",
        )
    return table


def _age(cluster: Cluster, now: datetime) -> str:
    if not cluster.nodes:
        return ""
    seconds = max(0, int((now - min(node.launched for node in cluster.nodes)).total_seconds()))
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"
