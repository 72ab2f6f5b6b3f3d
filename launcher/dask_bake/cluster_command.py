"""``dask-bake ls``, ``status``, ``ssh``, ``connect``, ``down``: what is done with clusters that are there."""

import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime

from dask_bake import documents, view
from dask_bake.cluster import take_down
from dask_bake.console import host_key_from_console
from dask_bake.ec2 import Ec2
from dask_bake.errors import BakeError, UsageError
from dask_bake.events import Note
from dask_bake.inventory import find, list_clusters
from dask_bake.models import (
    DASHBOARD_PORT,
    JUPYTER_PORT,
    JUPYTER_TOKEN_FILE,
    SCHEDULER_PORT,
    Cloud,
    Cluster,
    Node,
)
from dask_bake.secrets_folder import Secrets, secrets_of
from dask_bake.ssh import Forward, Host, host, read_file, run_shell, shell_command
from dask_bake.terminal import Terminal
from dask_bake.tunnel import Tunnel, free_port
from dask_bake.way_in import SshWayIn

PATIENCE = 10.0


def list_all(cloud: Cloud, ec2: Ec2, terminal: Terminal, *, json_output: bool) -> int:
    """Shows every cluster."""
    return show_list(list_clusters(ec2, cloud), terminal, json_output=json_output)


def show_list(clusters: Sequence[Cluster], terminal: Terminal, *, json_output: bool) -> int:
    """Shows these clusters."""
    if json_output:
        terminal.write_json(view.as_json([documents.cluster_document(cluster) for cluster in clusters]))
    else:
        terminal.out.print(view.clusters_table(clusters, datetime.now(UTC)))
    return 0


def status(cloud: Cloud, ec2: Ec2, terminal: Terminal, *, name: str | None, json_output: bool) -> int:
    """Shows one cluster, and what its scheduler says if it can be asked from here."""
    cluster = find(ec2, cloud, name)
    registered = ask_scheduler(cluster, cloud, ec2, terminal)
    if json_output:
        terminal.write_json(view.as_json(documents.cluster_document(cluster, registered)))
    else:
        terminal.out.print(view.cluster_view(cluster, registered, datetime.now(UTC)))
    return 0


def shell(cloud: Cloud, ec2: Ec2, *, name: str | None, index: int, words: Sequence[str]) -> int:
    """Becomes a shell on the node, or the command that is run there."""
    cluster = find(ec2, cloud, name)
    reached = reach(cluster, node_of(cluster, index), cloud, ec2)
    run_shell(shell_command(reached, words, is_terminal=sys.stdin.isatty()))
    return 0


def connect(cloud: Cloud, ec2: Ec2, terminal: Terminal, *, name: str | None, json_output: bool) -> int:
    """Keeps the cluster's ports open on this machine until it is interrupted."""
    cluster = find(ec2, cloud, name)
    reached = reach(cluster, node_of(cluster, 0), cloud, ec2)
    forwards = [Forward(free_port(port), port) for port in (DASHBOARD_PORT, SCHEDULER_PORT, JUPYTER_PORT)]
    with Tunnel(reached, forwards) as tunnel:
        tunnel.wait(PATIENCE)
        local_port = {forward.remote_port: forward.local_port for forward in forwards}
        addresses = documents.addresses(local_port, token=read_file(reached, JUPYTER_TOKEN_FILE))
        if json_output:
            terminal.write_json(view.as_json(addresses))
        else:
            terminal.out.print(view.connection_panel(addresses))
        sys.stdout.flush()
        with suppress(KeyboardInterrupt):
            while True:
                tunnel.advance()
                time.sleep(1)
    return 0


def down(cloud: Cloud, ec2: Ec2, terminal: Terminal, *, name: str | None, json_output: bool) -> int:
    """Ends the cluster, and says what it was."""
    cluster = find(ec2, cloud, name)
    way_in = SshWayIn(_secrets(cluster, cloud))
    with terminal.watching() as watch:
        take_down(cluster, ec2, way_in, notify=terminal.notify, clock=time.monotonic, sleep=time.sleep)
        seconds = watch.elapsed
    if json_output:
        terminal.write_json(view.as_json(documents.cluster_document(cluster)))
    else:
        terminal.out.print(f"{cluster.name} is gone: {len(cluster.nodes)} nodes ended in {seconds:.1f} s.")
    return 0


def node_of(cluster: Cluster, index: int) -> Node:
    """The cluster's node of that number."""
    for node in cluster.nodes:
        if node.index == index:
            return node
    numbers = ", ".join(str(node.index) for node in cluster.nodes) or "none"
    raise UsageError(f"cluster {cluster.name} has no node {index}", hint=f"its nodes: {numbers}")


def reach(cluster: Cluster, node: Node, cloud: Cloud, ec2: Ec2) -> Host:
    """The node as ssh reaches it from here, its host key known."""
    secrets = _secrets(cluster, cloud)
    if not secrets.key.exists():
        raise BakeError(
            f"the key of cluster {cluster.name} is not on this machine: {secrets.key}",
            hint="only the machine that launched a cluster can enter it; any machine can take it down",
        )
    reached = host(cluster, node, secrets)
    for each in {node.index: node, 0: cluster.head}.values():
        if each is not None and not secrets.is_pinned(each):
            _pin(each, secrets, ec2)
    return reached


def ask_scheduler(cluster: Cluster, cloud: Cloud, ec2: Ec2, terminal: Terminal) -> Mapping[str, int] | None:
    """The worker processes per address; ``None``, with a note, where the scheduler cannot be asked."""
    if cluster.head is None or cluster.head.state != "running":
        return None
    secrets = _secrets(cluster, cloud)
    try:
        reach(cluster, cluster.head, cloud, ec2)
    except BakeError as error:
        terminal.notify(Note(error.message))
        return None
    way_in = SshWayIn(secrets)
    try:
        return _ask_until(way_in, cluster.head, time.monotonic() + PATIENCE, terminal)
    finally:
        way_in.close()


def _ask_until(way_in: SshWayIn, head: Node, deadline: float, terminal: Terminal) -> Mapping[str, int] | None:
    while (registered := way_in.registered(head)) is None:
        if time.monotonic() >= deadline:
            terminal.notify(Note(f"The scheduler does not answer. {way_in.trouble}".strip()))
            return None
        time.sleep(0.1)
    return registered


def _pin(node: Node, secrets: Secrets, ec2: Ec2) -> None:
    host_key = host_key_from_console(ec2.console_output(node.id))
    if host_key is None:
        raise BakeError(
            f"node {node.index} ({node.id}) has not printed its host key on its console",
            hint="it may still be booting: try again in some seconds",
        )
    secrets.pin(node, host_key)


def _secrets(cluster: Cluster, cloud: Cloud) -> Secrets:
    return secrets_of(cloud, cluster.name, cluster.launch_id, os.environ)
