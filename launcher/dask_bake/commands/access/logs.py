"""``dask-bake logs``: what the nodes of a cluster have logged, also of those that are gone."""

import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dask_bake import __version__
from dask_bake.access import bundle, ended
from dask_bake.access.logs import Follower, LogRequest, NodeLog, all_records, choose_logged, read_logs
from dask_bake.access.nodes import node_name
from dask_bake.access.records import JOURNAL, Record, Source, log_line, merged, record_document
from dask_bake.clusters.condition import condition
from dask_bake.clusters.inventory import find
from dask_bake.ec2.api import Ec2
from dask_bake.errors import BakeError, NoClusterError, UsageError
from dask_bake.events import Note
from dask_bake.hints import command_line
from dask_bake.models.cloud import Cloud
from dask_bake.models.cluster import Cluster, Node
from dask_bake.options.node_words import NodeNumbers
from dask_bake.ssh.command import Host
from dask_bake.ssh.connect import not_allowed_error, prepare_hosts
from dask_bake.view import cluster_json
from dask_bake.view.layout import counted
from dask_bake.view.terminal import Terminal

LINES = 200
"""Lines of each node that are shown without ``--since`` and ``--lines``."""
SAVE_TIMEOUT = 25.0
"""Seconds for the logs of a bundle."""
MOST_FOLLOWED = 64


@dataclass(frozen=True)
class LogsOptions:
    """Options of ``dask-bake logs``; without sources, all of the journal's."""

    name: str | None = None
    numbers: NodeNumbers | None = None
    every: bool = False
    follow: bool = False
    since: int | None = None
    lines: int | None = None
    sources: tuple[Source, ...] = ()
    save: Path | None = None
    json_output: bool = False

    @property
    def request(self) -> LogRequest:
        """Return what is read of each node."""
        lines = LINES if self.lines is None and self.since is None else self.lines
        return LogRequest(self.sources or JOURNAL, lines=lines, since=self.since)


def check(options: LogsOptions) -> None:
    """Raise if the options contradict each other."""
    if options.follow and options.save is not None:
        raise UsageError("--follow and --save contradict each other", hint="use one of the two")
    if options.follow and Source.CONSOLE in options.sources:
        raise UsageError("EC2 shows a console as it was: it cannot be followed", hint="leave out --follow")
    if options.save is not None:
        bundle.compression_of(options.save)


def run(
    options: LogsOptions,
    cloud: Cloud,
    ec2: Ec2,
    terminal: Terminal,
    *,
    environ: Mapping[str, str] = os.environ,
) -> int:
    """Show the logs, follow them, or save them."""
    try:
        cluster = find(ec2, cloud, options.name)
    except NoClusterError as error:
        if options.name is not None and ended.has_ended_logs(options.name, environ):
            hint = f"{command_line('logs', options.name, '--ended')} shows what was kept of it"
            raise NoClusterError(error.message, hint=hint) from error
        raise
    nodes = choose_logged(cluster, options.numbers, every=options.every or options.save is not None)
    hosts = reachable(cluster, nodes, cloud, ec2)
    if options.follow:
        return _follow(options, cluster, hosts, terminal)
    if options.save is not None:
        return _save(options, cluster, nodes, hosts, ec2, terminal)
    logs = read_logs(nodes, hosts, ec2, options.request)
    _note_troubles(cluster, logs, cloud, terminal)
    show(all_records(logs), cluster.name, terminal, json_output=options.json_output)
    return 0


def reachable(
    cluster: Cluster, nodes: Sequence[Node], cloud: Cloud, ec2: Ec2
) -> Mapping[int, Host | BakeError]:
    """Return how to reach each node that is up, or why not: its console can be read anyway."""
    up = [node for node in nodes if node.is_up]
    if not up:
        return {}
    try:
        return prepare_hosts(cluster, up, cloud, ec2)
    except BakeError as error:
        return {node.index: error for node in up}


def show_ended(options: LogsOptions, terminal: Terminal, *, environ: Mapping[str, str] = os.environ) -> int:
    """Show the logs that were kept of a cluster that was ended."""
    if options.follow or options.save is not None:
        raise UsageError("a cluster that has ended can be shown only", hint="leave out --follow and --save")
    kept = ended.find_ended(options.name, environ, time.time())
    wanted = [
        record
        for record in kept.records
        if (options.numbers is None or record.node in options.numbers)
        and (not options.sources or record.source in options.sources)
        and (options.since is None or record.time >= kept.ended.timestamp() - options.since)
    ]
    if options.lines is not None:
        nodes = {record.node for record in wanted}
        of_nodes = ([each for each in wanted if each.node == node][-options.lines :] for node in nodes)
        wanted = merged(record for records in of_nodes for record in records)
    terminal.notify(
        Note(f"{kept.name} in {kept.cloud} {kept.region} was ended at {kept.ended:%Y-%m-%d %H:%M} UTC.")
    )
    show(wanted, kept.name, terminal, json_output=options.json_output)
    return 0


def show(records: Sequence[Record], cluster: str, terminal: Terminal, *, json_output: bool) -> None:
    """Print the records."""
    if json_output:
        terminal.write_json([record_document(record) for record in records])
        return
    width = max((len(node_name(cluster, record.node)) for record in records), default=0)
    for record in records:
        terminal.write_line(log_line(record, cluster, width))


def _follow(
    options: LogsOptions, cluster: Cluster, hosts: Mapping[int, Host | BakeError], terminal: Terminal
) -> int:
    up = {index: host for index, host in hosts.items() if isinstance(host, Host)}
    for index, error in hosts.items():
        if isinstance(error, BakeError):
            terminal.notify(Note(f"Node {index} is left out: {error.message}."))
    if not up:
        raise BakeError(
            f"no node of cluster {cluster.name} can be followed",
            hint=f"{command_line('logs', cluster.name, '--source', 'console')} shows their consoles",
        )
    if len(up) > MOST_FOLLOWED:
        raise UsageError(f"{len(up)} nodes cannot be followed at once", hint="name some of them, such as 1-9")
    width = max(len(node_name(cluster.name, index)) for index in up)

    def show_records(records: Sequence[Record]) -> None:
        for record in records:
            text = as_json_line(record) if options.json_output else log_line(record, cluster.name, width)
            terminal.write_line(text)

    def complain(index: int, text: str) -> None:
        terminal.write_line(f"{node_name(cluster.name, index)}: {text}", to_stderr=True)

    request = options.request
    with suppress(KeyboardInterrupt):
        lines = request.lines if request.lines is not None else 10_000
        Follower(up, request.sources, show_records, complain).run(lines=lines, since=request.since)
        terminal.notify(Note("All connections have ended."))
        return 1
    return 0


def as_json_line(record: Record) -> str:
    """Return a record as one line of JSON."""
    return json.dumps(record_document(record))


def _save(
    options: LogsOptions,
    cluster: Cluster,
    nodes: Sequence[Node],
    hosts: Mapping[int, Host | BakeError],
    ec2: Ec2,
    terminal: Terminal,
) -> int:
    assert options.save is not None  # noqa: S101 - the caller has looked
    sources = options.sources or tuple(Source)
    request = LogRequest(sources, lines=options.lines, since=options.since, facts=True)
    logs = read_logs(nodes, hosts, ec2, request, deadline=time.monotonic() + SAVE_TIMEOUT)
    content = bundle.files(cluster.name, logs, about(cluster))
    bundle.save(options.save, content)
    if options.json_output:
        terminal.write_json({"file": str(options.save), "files": sorted(content)})
    else:
        terminal.out.print(
            f"{options.save} has the logs of {counted(len(logs), 'node')}. Secrets are struck out, as far as"
            " they can be told: look through it before you send it.",
            soft_wrap=True,
        )
    return 0


def about(cluster: Cluster) -> dict[str, Any]:
    """Return what a bundle says of the cluster and of this machine."""
    now = datetime.now(UTC)
    return {
        "dask_bake": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "saved": now.isoformat(timespec="seconds"),
        "cluster": cluster_json.cluster_document(cluster, its=condition(cluster, now)),
    }


def _note_troubles(cluster: Cluster, logs: Sequence[NodeLog], cloud: Cloud, terminal: Terminal) -> None:
    troubled = [log for log in logs if log.trouble and log.node.is_up]
    for log in troubled:
        name = node_name(cluster.name, log.node.index)
        terminal.notify(Note(f"{name} has no journal to read, so this is its console: {log.trouble}."))
    if troubled and (shut := not_allowed_error(cluster, cloud)) is not None:
        terminal.notify(Note(f"{shut.message}: {shut.hint}."))
