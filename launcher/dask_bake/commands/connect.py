"""``dask-bake ssh``, ``connect`` and ``ui``: a shell on a node; ports of the head on this machine."""

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from dask_bake.clusters.inventory import find
from dask_bake.ec2.api import Ec2
from dask_bake.models.cloud import Cloud
from dask_bake.models.cluster import DASHBOARD_PORT, JUPYTER_PORT, JUPYTER_TOKEN_FILE, SCHEDULER_PORT
from dask_bake.ssh.command import Forward, read_file, run_shell, shell_command
from dask_bake.ssh.connect import check_reachable, find_node, open_tunnel, prepare_host, tls_files
from dask_bake.ssh.tunnel import free_port
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
    local_port = {port: free_port(port) for port in (DASHBOARD_PORT, JUPYTER_PORT, SCHEDULER_PORT)}
    forwards = [Forward(local, port) for port, local in local_port.items()]
    with open_tunnel(cluster, cloud, reached, forwards) as tunnel:
        token, tls = read_file(reached, JUPYTER_TOKEN_FILE), tls_files(cluster, cloud)
        addresses = cluster_json.addresses(local_port, token=token, tls=tls)
        if json_output:
            terminal.write_json(addresses)
        else:
            terminal.out.print(clusters.connection_panel(addresses))
        sys.stdout.flush()
        with suppress(KeyboardInterrupt):
            open_page(addresses["dashboard"])
            while True:
                tunnel.advance()
                time.sleep(1)
    return 0
