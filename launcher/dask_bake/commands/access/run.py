"""``dask-bake run``: a command on several nodes side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dask_bake.access.nodes import choose_nodes, node_name
from dask_bake.access.remote import command_text, supervised
from dask_bake.access.run import NO_CONNECTION, Commands, Line, worst
from dask_bake.clusters.inventory import find
from dask_bake.ec2.api import Ec2
from dask_bake.errors import BakeError
from dask_bake.models.cloud import Cloud
from dask_bake.models.cluster import Node
from dask_bake.options.node_words import NodeNumbers
from dask_bake.ssh.command import Host
from dask_bake.ssh.connect import check_reachable, prepare_hosts
from dask_bake.view.terminal import Terminal

MOST_OUTPUT = 1_000_000
"""Characters of each of a node's streams that a JSON document has."""


@dataclass(frozen=True)
class RunOptions:
    """Options of ``dask-bake run``: the command's words, and the nodes that it runs on."""

    words: tuple[str, ...]
    name: str | None = None
    numbers: NodeNumbers | None = None
    every: bool = False
    json_output: bool = False


@dataclass
class _Output:
    """The output of one node, for JSON."""

    lines: tuple[list[str], list[str]] = field(default_factory=lambda: ([], []))
    sizes: list[int] = field(default_factory=lambda: [0, 0])

    def add(self, text: str, *, is_error: bool) -> None:
        """Keep the line, up to the limit."""
        self.sizes[is_error] += len(text) + 1
        if self.sizes[is_error] <= MOST_OUTPUT:
            self.lines[is_error].append(f"{text}\n")

    @property
    def is_truncated(self) -> bool:
        """Return whether lines were left out."""
        return max(self.sizes) > MOST_OUTPUT


def run(options: RunOptions, cloud: Cloud, ec2: Ec2, terminal: Terminal) -> int:
    """Run the command on the nodes, show their output, and return the worst exit code."""
    cluster = find(ec2, cloud, options.name)
    nodes = choose_nodes(cluster, options.numbers, every=options.every)
    reached = prepare_hosts(cluster, nodes, cloud, ec2)
    check_reachable(cluster, cloud)
    outputs = {node.index: _Output() for node in nodes}
    width = max(len(node_name(cluster.name, node.index)) for node in nodes)

    def emit(line: Line) -> None:
        if options.json_output:
            outputs[line.node].add(line.text, is_error=line.is_error)
        else:
            name = node_name(cluster.name, line.node)
            terminal.write_line(f"{name:{width}} | {line.text}", to_stderr=line.is_error)

    hosts = {index: host for index, host in reached.items() if isinstance(host, Host)}
    for index, error in reached.items():
        if isinstance(error, BakeError):
            emit(Line(index, error.message, is_error=True))
    command = supervised(command_text(options.words))
    codes = Commands(hosts, dict.fromkeys(hosts, command)).run(emit)
    codes = {node.index: codes.get(node.index, NO_CONNECTION) for node in nodes}
    if options.json_output:
        terminal.write_json(document(cluster.name, options.words, nodes, codes, outputs))
    return worst(codes)


def document(
    cluster: str,
    words: Sequence[str],
    nodes: Sequence[Node],
    codes: Mapping[int, int],
    outputs: Mapping[int, _Output],
) -> dict[str, Any]:
    """Return the outcome of the command on each node, for ``--json``."""
    return {
        "name": cluster,
        "command": list(words),
        "exit_code": worst(codes),
        "nodes": [
            {
                "index": node.index,
                "node": node_name(cluster, node.index),
                "id": node.id,
                "exit_code": codes[node.index],
                "stdout": "".join(outputs[node.index].lines[0]),
                "stderr": "".join(outputs[node.index].lines[1]),
                "truncated": outputs[node.index].is_truncated,
            }
            for node in nodes
        ],
    }
