"""``dask-bake cp``: files between this machine and nodes."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from dask_bake.access.cp import Copier, Outcome, Progress
from dask_bake.access.locations import Copy
from dask_bake.access.nodes import choose_nodes, node_name
from dask_bake.clusters.inventory import find
from dask_bake.ec2.api import Ec2
from dask_bake.errors import BakeError, UsageError
from dask_bake.models.cloud import Cloud
from dask_bake.options.node_words import NodeNumbers
from dask_bake.ssh.connect import check_reachable, prepare_hosts
from dask_bake.view.layout import bytes_text, counted
from dask_bake.view.terminal import Terminal


@dataclass(frozen=True)
class CpOptions:
    """Options of ``dask-bake cp``."""

    copy: Copy
    name: str | None = None
    every: bool = False
    json_output: bool = False


def run(options: CpOptions, cloud: Cloud, ec2: Ec2, terminal: Terminal) -> int:
    """Copy, show what went over, and return 1 if a part of it did not.

    Raises:
        BakeError: if nothing could be copied to or from the only node.
    """
    copy = options.copy
    if options.every and copy.node is not None:
        raise UsageError("a node and --all contradict each other", hint="use one of the two")
    cluster = find(ec2, cloud, options.name)
    numbers = None if copy.node is None else NodeNumbers(((copy.node, copy.node),))
    nodes = choose_nodes(cluster, numbers, every=options.every)
    hosts = prepare_hosts(cluster, nodes, cloud, ec2)
    check_reachable(cluster, cloud)
    with terminal.percentages([node_name(cluster.name, node.index) for node in nodes]) as shown:
        copier = Copier(cluster.name, copy, hosts, _reporter(cluster.name, shown))
        outcomes = copier.run(into_folders=options.every and not copy.is_upload)
    failed = [outcome for outcome in outcomes if outcome.error is not None]
    if options.json_output:
        terminal.write_json(document(cluster.name, outcomes))
    elif len(failed) == len(outcomes) == 1:
        raise BakeError(
            f"the copy {_way(copy, cluster.name, failed[0])} failed: {failed[0].error}",
            hint="the same command continues where it broke",
        )
    else:
        for outcome in outcomes:
            terminal.write_line(sentence(cluster.name, outcome), to_stderr=outcome.error is not None)
    return 1 if failed else 0


def document(cluster: str, outcomes: tuple[Outcome, ...]) -> dict[str, Any]:
    """Return what became of each node, for ``--json``."""
    return {"name": cluster, "nodes": [_node(cluster, outcome) for outcome in outcomes]}


def sentence(cluster: str, outcome: Outcome) -> str:
    """Return what became of a node."""
    name = node_name(cluster, outcome.node)
    if outcome.error is not None:
        return f"{name}: {outcome.error}"
    return f"{name}: {counted(outcome.files, 'file')}, {bytes_text(outcome.bytes)}"


def _node(cluster: str, outcome: Outcome) -> dict[str, Any]:
    fields = asdict(outcome)
    return {"index": fields.pop("node"), "node": node_name(cluster, outcome.node), **fields}


def _way(copy: Copy, cluster: str, outcome: Outcome) -> str:
    return f"{'to' if copy.is_upload else 'from'} {node_name(cluster, outcome.node)}"


def _reporter(cluster: str, shown: Callable[[str, int], None]) -> Callable[[Progress], None]:
    return lambda seen: shown(node_name(cluster, seen.node), seen.percent)
