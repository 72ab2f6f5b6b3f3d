"""Logs of a cluster's nodes: by SSH from those that answer, from EC2's consoles of the others."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from shlex import join

from dask_bake.access.records import (
    JOURNAL,
    MOST_RECORDS,
    Record,
    Source,
    console_records,
    journal_command,
    journal_records,
    merged,
    plain_lines,
)
from dask_bake.access.remote import supervised
from dask_bake.access.run import Commands, Line
from dask_bake.ec2.protocols import ClusterQueries
from dask_bake.errors import BakeError, UsageError
from dask_bake.models.cluster import Cluster, Node
from dask_bake.options.node_words import NodeNumbers
from dask_bake.ssh.command import Host, run_there
from dask_bake.ssh.connect import find_node
from dask_bake.system.concurrency import gather_bounded

MOST_AT_ONCE = 9
"""Nodes that are read at a time: sshd refuses some of more than ten connections that begin."""
NODE_TIMEOUT = 15.0
"""Seconds for the journal of one node, with the connection."""
ORDERING = 0.5
"""Seconds for which lines that are followed wait for earlier ones of other nodes."""
FACTS = ("uptime", "free -m", "df -h", "systemctl --failed --no-pager", "cloud-init status --long")
"""Commands whose output a bundle has of each node."""


@dataclass(frozen=True)
class NodeLog:
    """The log of one node.

    Args:
        facts: the output of ``FACTS``.
        trouble: why the journal could not be read.
    """

    node: Node
    records: tuple[Record, ...] = ()
    facts: str = ""
    trouble: str = ""


@dataclass(frozen=True)
class LogRequest:
    """The part of the logs that is read: sources, the last lines or seconds, and whether ``FACTS`` too."""

    sources: tuple[Source, ...] = JOURNAL
    lines: int | None = None
    since: int | None = None
    facts: bool = False


def choose_logged(cluster: Cluster, numbers: NodeNumbers | None, *, every: bool) -> tuple[Node, ...]:
    """Return the nodes of these numbers, or those that are there; with ``every`` also those that have ended.

    Raises:
        UsageError: if a number is of no node, or there is none; it says when and why the cluster ended.
    """
    if numbers is not None and every:
        raise UsageError("numbers of nodes and --all contradict each other", hint="use one of the two")
    both = (*cluster.known_nodes, *(node for node in cluster.gone if node.role is not None))
    if numbers is not None:
        for index in numbers.missing(node.index for node in both):
            find_node(cluster, index)
        return tuple(node for node in both if node.index in numbers)
    chosen = both if every else cluster.known_nodes or both
    if not chosen:
        find_node(cluster, 0)
    return chosen


def read_logs(
    nodes: Sequence[Node],
    hosts: Mapping[int, Host | BakeError],
    ec2: ClusterQueries,
    request: LogRequest,
    *,
    timeout: float = NODE_TIMEOUT,
    deadline: float | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[NodeLog, ...]:
    """Return the logs of the nodes, several read at a time.

    Args:
        hosts: how to reach those that are up, by number.
        deadline: the time of ``clock`` after which nothing more is begun.
    """

    def read(node: Node) -> NodeLog:
        left = timeout if deadline is None else min(timeout, deadline - clock())
        if left <= 0:
            return NodeLog(node, trouble="there was no time left for it")
        host = hosts.get(node.index) if node.is_up else None
        return read_node(node, host, ec2, request, left)

    return gather_bounded([partial(read, node) for node in nodes], MOST_AT_ONCE)


def read_node(
    node: Node, host: Host | BakeError | None, ec2: ClusterQueries, request: LogRequest, seconds: float
) -> NodeLog:
    """Return the log of one node: its journal; its console if that was asked for, or there is no journal."""
    journal = tuple(source for source in request.sources if source in JOURNAL)
    found = NodeLog(node)
    if isinstance(host, Host) and journal:
        found = _read_journal(node, host, journal, request, seconds)
    elif journal:
        found = NodeLog(node, trouble=host.message if isinstance(host, BakeError) else f"it is {node.state}")
    if Source.CONSOLE in request.sources or found.trouble:
        try:
            console = console_records(node.index, ec2.console_output(node.id), node.launched)
        except BakeError as error:
            return NodeLog(node, found.records, found.facts, found.trouble or error.message)
        if request.lines is not None:
            console = console[-request.lines :]
        found = NodeLog(node, (*console, *found.records), found.facts, found.trouble)
    return found


def _read_journal(
    node: Node, host: Host, sources: Sequence[Source], request: LogRequest, seconds: float
) -> NodeLog:
    most = MOST_RECORDS if request.lines is None else request.lines
    command = f"sudo -n {join(journal_command(sources, lines=most, since=request.since))}"
    if request.facts:
        command += "".join(f"; echo; echo {join([f'$ {each}'])}; {each} 2>&1" for each in FACTS)
    done = run_there(host, ["sh", "-c", command], seconds)
    lines = done.stdout.splitlines()
    records = tuple(
        record for line in lines if line.startswith("{") for record in journal_records(node.index, line)
    )
    facts = "\n".join(each for line in lines if not line.startswith("{") for each in plain_lines(line))
    trouble = ""
    if done.returncode and not records:
        complaints = list(plain_lines(done.stderr))
        trouble = complaints[-1] if complaints else f"ssh ended with {done.returncode}"
    return NodeLog(node, records[-MOST_RECORDS:], facts, trouble)


def all_records(logs: Sequence[NodeLog]) -> list[Record]:
    """Return the records of all nodes, merged by time."""
    return merged(record for log in logs for record in log.records)


@dataclass
class Follower:
    """The lines of journals as they come, in the order of their times as far as they come together.

    Args:
        show: takes the records.
        complain: takes a node's number and a message of its ssh.
    """

    hosts: Mapping[int, Host]
    sources: tuple[Source, ...]
    show: Callable[[Sequence[Record]], None]
    complain: Callable[[int, str], None]
    clock: Callable[[], float] = time.monotonic
    _waiting: list[Record] = field(default_factory=list)
    _since: float | None = None

    def run(self, *, lines: int, since: int | None = None) -> None:
        """Follow until an interrupt, or until no node answers any more."""
        words = journal_command(self.sources, lines=lines, since=since, follow=True)
        command = supervised(join(words), as_root=True)
        try:
            Commands(self.hosts, dict.fromkeys(self.hosts, command)).run(self._take, tick=self._tick)
        finally:
            self._flush()

    def _take(self, line: Line) -> None:
        if line.is_error:
            for text in plain_lines(line.text):
                self.complain(line.node, text)
            return
        if found := journal_records(line.node, line.text):
            self._waiting += found
            self._since = self.clock() if self._since is None else self._since
        self._tick()

    def _tick(self) -> None:
        if self._since is not None and self.clock() >= self._since + ORDERING:
            self._flush()

    def _flush(self) -> None:
        ready, self._waiting, self._since = merged(self._waiting), [], None
        if ready:
            self.show(ready)
