"""``dask-bake ls``, ``status``, ``ssh``, ``connect``, ``down``: what is done with clusters that are there."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from dask_bake.clusters import teardown
from dask_bake.clusters.auto_shutdown import parse_switches
from dask_bake.clusters.inventory import find, list_clusters
from dask_bake.ec2.api import Ec2
from dask_bake.errors import StoppedError
from dask_bake.events import Event, PhaseStarted
from dask_bake.hints import own_command
from dask_bake.launch.executor import take_down
from dask_bake.models.cloud import Cloud
from dask_bake.models.cluster import DASHBOARD_PORT, JUPYTER_PORT, JUPYTER_TOKEN_FILE, SCHEDULER_PORT, Cluster
from dask_bake.ssh.command import Forward, read_file, run_shell, shell_command
from dask_bake.ssh.connect import ask_head, check_door, node_of, open_tunnel, reach, secrets_here, tls_files
from dask_bake.ssh.head_connection import SshWayIn
from dask_bake.ssh.tunnel import free_port
from dask_bake.view import cluster_json
from dask_bake.view import clusters as view
from dask_bake.view.terminal import Terminal


def list_all(cloud: Cloud, ec2: Ec2, terminal: Terminal, *, json_output: bool) -> int:
    """Shows every cluster."""
    return show_list(list_clusters(ec2, cloud), terminal, json_output=json_output)


def show_list(clusters: Sequence[Cluster], terminal: Terminal, *, json_output: bool) -> int:
    """Shows these clusters."""
    if json_output:
        terminal.write_json(view.as_json([cluster_json.cluster_document(cluster) for cluster in clusters]))
    else:
        terminal.out.print(view.clusters_table(clusters, datetime.now(UTC)))
    return 0


def status(cloud: Cloud, ec2: Ec2, terminal: Terminal, *, name: str | None, json_output: bool) -> int:
    """Shows one cluster, and what its head says if it can be asked from here."""
    cluster = find(ec2, cloud, name)
    registered, told = ask_head(cluster, cloud, ec2, terminal.notify)
    switches = parse_switches(told)
    if json_output:
        terminal.write_json(view.as_json(cluster_json.cluster_document(cluster, registered, switches)))
    else:
        terminal.out.print(view.cluster_view(cluster, registered, datetime.now(UTC), switches))
    return 0


def shell(cloud: Cloud, ec2: Ec2, *, name: str | None, index: int, words: Sequence[str]) -> int:
    """Becomes a shell on the node, or the command that is run there."""
    cluster = find(ec2, cloud, name)
    reached = reach(cluster, node_of(cluster, index), cloud, ec2)
    check_door(cluster, cloud)
    run_shell(shell_command(reached, words, is_terminal=sys.stdin.isatty()))
    return 0


def connect(
    cloud: Cloud,
    ec2: Ec2,
    terminal: Terminal,
    *,
    name: str | None,
    json_output: bool,
    open_page: Callable[[str], object] = lambda _: None,
) -> int:
    """Keeps the cluster's ports open on this machine until it is interrupted, the dashboard's page opened."""
    cluster = find(ec2, cloud, name)
    reached = reach(cluster, node_of(cluster, 0), cloud, ec2)
    forwards = [Forward(free_port(port), port) for port in (DASHBOARD_PORT, SCHEDULER_PORT, JUPYTER_PORT)]
    with open_tunnel(cluster, cloud, reached, forwards) as tunnel:
        local_port = {forward.remote_port: forward.local_port for forward in forwards}
        token, tls = read_file(reached, JUPYTER_TOKEN_FILE), tls_files(cluster, cloud)
        addresses = cluster_json.addresses(local_port, token=token, tls=tls)
        if json_output:
            terminal.write_json(view.as_json(addresses))
        else:
            terminal.out.print(view.connection_panel(addresses))
        sys.stdout.flush()
        with suppress(KeyboardInterrupt):
            open_page(addresses["dashboard"])
            while True:
                tunnel.advance()
                time.sleep(1)
    return 0


@dataclass
class Ending:
    """Whether a cluster has begun to be ended."""

    has_begun: bool = False

    def see(self, event: Event) -> None:
        """Follows the removal."""
        self.has_begun = self.has_begun or event == PhaseStarted(teardown.PHASE)


@contextmanager
def nothing_ended(*words: str, flags: Sequence[str]) -> Iterator[Ending]:
    """Until the end has begun an interrupt leaves the cluster as it was, and that is said.

    Args:
        words: by which the command line said which cluster.
    """
    ending = Ending()
    try:
        yield ending
    except KeyboardInterrupt as error:
        if ending.has_begun:
            raise
        again = own_command("down", *words, flags=flags)
        raise StoppedError("interrupted before anything was ended", hint=f"{again} ends it") from error


def down(
    cloud: Cloud, ec2: Ec2, terminal: Terminal, ending: Ending, *, name: str | None, json_output: bool
) -> int:
    """Ends the cluster, and says what it was."""

    def notify(event: Event) -> None:
        ending.see(event)
        terminal.notify(event)

    cluster = find(ec2, cloud, name)
    way_in = SshWayIn(secrets_here(cluster, cloud))
    with terminal.watching() as watch:
        take_down(cluster, ec2, way_in, notify=notify, clock=time.monotonic, sleep=time.sleep)
        seconds = watch.elapsed
    if json_output:
        terminal.write_json(view.as_json(cluster_json.cluster_document(cluster)))
    else:
        terminal.out.print(f"{cluster.name} is gone: {len(cluster.nodes)} nodes ended in {seconds:.1f} s.")
    return 0
