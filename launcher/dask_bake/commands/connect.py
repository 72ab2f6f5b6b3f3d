"""``dask-bake ssh``, ``connect`` and ``ui``: a shell on a node; ports of the head on this machine."""

import secrets
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress

from dask_bake.clusters.inventory import find
from dask_bake.commands.forward import forwarding
from dask_bake.ec2.api import Ec2
from dask_bake.errors import BakeError
from dask_bake.events import Note
from dask_bake.models.cloud import Cloud
from dask_bake.models.cluster import DASHBOARD_PORT, JUPYTER_PORT, JUPYTER_TOKEN_FILE, SCHEDULER_PORT, Cluster
from dask_bake.scaling.keep import start_keeper
from dask_bake.ssh.command import Forward, read_file, run_shell, shell_command
from dask_bake.ssh.connect import check_reachable, find_node, open_tunnel, prepare_host, tls_files
from dask_bake.ssh.tunnel import private_socket
from dask_bake.ssh.web_port import WebPort, link_file
from dask_bake.view import cluster_json, clusters
from dask_bake.view.terminal import Terminal


def shell(cloud: Cloud, ec2: Ec2, *, name: str | None, index: int, words: Sequence[str]) -> int:
    """Replace this process with a shell on the node, or with the command run there."""
    cluster = find(ec2, cloud, name)
    reached = prepare_host(cluster, find_node(cluster, index), cloud, ec2)
    check_reachable(cluster, cloud)
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
    """Forward the cluster's ports to this machine until Ctrl-C, and open the dashboard's page."""
    cluster = find(ec2, cloud, name)
    reached = prepare_host(cluster, find_node(cluster, 0), cloud, ec2)
    sockets = {port: private_socket(port) for port in (DASHBOARD_PORT, JUPYTER_PORT, SCHEDULER_PORT)}
    forwards = {port: Forward(path, port) for port, path in sockets.items()}
    secret = secrets.token_urlsafe(16)
    with (
        open_tunnel(cluster, cloud, reached, list(forwards.values())) as tunnel,
        WebPort(forwards[DASHBOARD_PORT], preferred=DASHBOARD_PORT, token=secret) as dashboard,
        WebPort(forwards[JUPYTER_PORT], preferred=JUPYTER_PORT) as jupyter,
        _forwarding(cluster, cloud, ec2, forwards[SCHEDULER_PORT], terminal),
        _keeping(cluster, cloud, ec2, terminal),
    ):
        addresses = cluster_json.addresses(
            sockets[SCHEDULER_PORT],
            {DASHBOARD_PORT: dashboard.port, JUPYTER_PORT: jupyter.port},
            secret=secret,
            token=read_file(reached, JUPYTER_TOKEN_FILE),
            tls=tls_files(cluster, cloud),
        )
        if json_output:
            terminal.write_json(addresses)
        else:
            terminal.out.print(clusters.connection_panel(addresses))
        sys.stdout.flush()
        with suppress(KeyboardInterrupt):
            open_page(link_file(sockets[DASHBOARD_PORT].parent, addresses["dashboard"]))
            while True:
                tunnel.advance()
                time.sleep(1)
    return 0


def _forwarding(cluster: Cluster, cloud: Cloud, ec2: Ec2, forward: Forward, terminal: Terminal) -> ExitStack:
    """Forward credentials if the cluster takes them; what prevents it is a note."""
    with ExitStack() as stack:
        try:
            stack.enter_context(forwarding(cluster, cloud, ec2, forward, terminal.notify))
        except BakeError as error:
            terminal.notify(Note(f"Tasks do not get your AWS credentials: {error.message}."))
        return stack.pop_all()


def _keeping(cluster: Cluster, cloud: Cloud, ec2: Ec2, terminal: Terminal) -> ExitStack:
    """Replace nodes that EC2 ends, if the cluster is to keep its size; what prevents it is a note."""
    with ExitStack() as stack:
        keeper = start_keeper(cluster, cloud, ec2, lambda sentence: terminal.notify(Note(sentence)))
        if keeper is not None:
            stack.callback(keeper.stop)
        return stack.pop_all()
