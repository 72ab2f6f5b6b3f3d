"""Connections to a cluster's nodes, and the errors that explain why one fails."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial

from dask_bake.clouds import caller_address
from dask_bake.clusters.auto_shutdown import STATE_FILE
from dask_bake.clusters.condition import condition
from dask_bake.clusters.ownership import current_owner
from dask_bake.clusters.ssh_access import allows_ssh_from
from dask_bake.ec2.protocols import ClusterApi, ClusterQueries
from dask_bake.errors import BakeError, UsageError
from dask_bake.events import Note, Notify
from dask_bake.hints import cluster_command
from dask_bake.models.cloud import Cloud, Connect
from dask_bake.models.cluster import Cluster, Node
from dask_bake.ssh.command import Forward, Host, host, read_file
from dask_bake.ssh.head_connection import SshHeadConnection
from dask_bake.ssh.host_keys import host_key_from_console
from dask_bake.ssh.keystore import Keystore, keystore_of
from dask_bake.ssh.transport import check_programs, transport_of
from dask_bake.ssh.tunnel import Tunnel, is_ssh_server
from dask_bake.system.concurrency import gather_bounded

CONNECT_TIMEOUT = 10.0
MOST_LOOK_UPS = 8
"""Consoles that are read at a time."""


def find_node(cluster: Cluster, index: int) -> Node:
    """Return the cluster's node of that number.

    Raises:
        UsageError: if there is none; where the head is gone, or the whole cluster, it says when and why.
    """
    for node in cluster.known_nodes:
        if node.index == index:
            return node
    there = condition(cluster, datetime.now(UTC))
    if there.text and (index == 0 or not cluster.nodes):
        raise UsageError(f"cluster {cluster.name} {there.text}", hint=there.hint)
    numbers = ", ".join(str(node.index) for node in cluster.known_nodes) or "none"
    raise UsageError(f"cluster {cluster.name} has no node {index}", hint=f"its nodes: {numbers}")


def local_keystore(cluster: Cluster, cloud: Cloud) -> Keystore:
    """Return the cluster's keystore on this machine; its folder may not exist."""
    return keystore_of(cloud, cluster.name, cluster.launch_id, os.environ)


def is_callers(cluster: Cluster, cloud: Cloud, ec2: ClusterQueries) -> bool:
    """Return whether the tags name the caller; without an owner, whether the key is on this machine."""
    if not cluster.owners:
        return not local_keystore(cluster, cloud).key_trouble
    return current_owner(ec2).owns(cluster.owners)


def tls_files(cluster: Cluster, cloud: Cloud) -> Mapping[str, str]:
    """Return the paths of a client's TLS files by Dask's parameter names; empty without TLS."""
    if not cluster.has_tls:
        return {}
    keystore = local_keystore(cluster, cloud)
    if not keystore.has_certificates:
        raise BakeError(
            f"the certificates of cluster {cluster.name} are not on this machine: {keystore.folder}",
            hint="they are on the machine that launched it; Client() works on the head:"
            f" {cluster_command('ssh', cluster.name)}",
        )
    return {
        "tls_ca_file": str(keystore.ca_file),
        "tls_client_cert": str(keystore.client_cert),
        "tls_client_key": str(keystore.client_key),
    }


def usable_keystore(cluster: Cluster, cloud: Cloud) -> Keystore:
    """Return the cluster's keystore; raise if a program or the cluster's key is missing here."""
    check_programs(cluster.transport)
    keystore = local_keystore(cluster, cloud)
    if trouble := keystore.key_trouble:
        raise BakeError(
            f"the key of cluster {cluster.name} {trouble}: {keystore.key}",
            hint="only the machine that launched the cluster has its key; any machine can end it:"
            f" {cluster_command('down', cluster.name)}",
        )
    return keystore


def prepare_host(cluster: Cluster, node: Node, cloud: Cloud, ec2: ClusterApi) -> Host:
    """Check programs and keys, pin the host keys that are missing, and return how to reach the node."""
    keystore = usable_keystore(cluster, cloud)
    reached = host(cluster, node, keystore, transport_of(cluster, cloud))
    for each in {node.index: node, 0: cluster.head}.values():
        if each is not None and not keystore.is_pinned(each):
            _pin(each, keystore, ec2)
    return reached


def prepare_hosts(
    cluster: Cluster, nodes: Sequence[Node], cloud: Cloud, ec2: ClusterApi
) -> Mapping[int, Host | BakeError]:
    """Return how to reach each of the nodes by its number, or why it cannot be reached yet.

    Raises:
        BakeError: if the head cannot be reached, through which all others are.
    """
    head = find_node(cluster, 0)
    prepare_host(cluster, head, cloud, ec2)
    keystore, transport = usable_keystore(cluster, cloud), transport_of(cluster, cloud)
    unpinned = [node for node in nodes if not keystore.is_pinned(node)]
    consoles = gather_bounded([partial(_console, node, ec2) for node in unpinned], MOST_LOOK_UPS)
    troubles: dict[int, BakeError] = {}
    for node, console in zip(unpinned, consoles, strict=True):
        try:
            if isinstance(console, BakeError):
                raise console
            _pin_from(node, console, keystore)
        except BakeError as error:
            troubles[node.index] = error
    return {
        node.index: troubles.get(node.index) or host(cluster, node, keystore, transport) for node in nodes
    }


def check_reachable(cluster: Cluster, cloud: Cloud, answers: Callable[[str], bool] = is_ssh_server) -> None:
    """Raise if the head does not answer because its security group does not allow this address."""
    if cluster.transport is not Connect.DIRECT or cluster.head is None or answers(cluster.head.address):
        return
    if (shut := not_allowed_error(cluster, cloud)) is not None:
        raise shut


def open_tunnel(
    cluster: Cluster,
    cloud: Cloud,
    reached: Host,
    forwards: Sequence[Forward],
    timeout: float = CONNECT_TIMEOUT,
) -> Tunnel:
    """Open a tunnel from ports of this machine to the head; the caller closes it."""
    tunnel = Tunnel(reached, forwards)
    try:
        tunnel.wait(timeout, status=cluster_command("status", cluster.name))
    except BaseException as error:
        tunnel.close()
        if isinstance(error, BakeError) and (shut := not_allowed_error(cluster, cloud)) is not None:
            raise shut from error
        raise
    return tunnel


def not_allowed_error(cluster: Cluster, cloud: Cloud) -> BakeError | None:
    """Return the error if the cluster does not allow this address; ``None`` if it does, or if unknown."""
    if cluster.transport is not Connect.DIRECT:
        return None
    try:
        here = caller_address(cloud)
    except BakeError:
        return None  # without an address, there is nothing to compare
    if allows_ssh_from(cluster, here):
        return None
    return BakeError(
        f"cluster {cluster.name} does not allow SSH from {here}, this machine's current address",
        hint=f"{cluster_command('allow-me', cluster.name)} allows it, and revokes the previous address",
    )


def query_head(
    cluster: Cluster, cloud: Cloud, ec2: ClusterApi, notify: Notify
) -> tuple[Mapping[str, int] | None, str]:
    """Return the worker processes per address, and the head's file of shutdown timers.

    The former is ``None`` without Dask and, with a note, if the scheduler cannot be reached or its answer
    cannot be used; the latter is "" if SSH cannot connect.
    """
    if cluster.head is None or cluster.head.state != "running":
        return None, ""
    try:
        reached = prepare_host(cluster, cluster.head, cloud, ec2)
    except BakeError as error:
        notify(Note(f"Its workers and time-outs are unknown: {error.message}."))
        return None, ""
    connection = SshHeadConnection(local_keystore(cluster, cloud), transport=transport_of(cluster, cloud))
    try:
        try:
            registered = _ask_until(connection, cluster, cloud, time.monotonic() + CONNECT_TIMEOUT, notify)
        except BakeError as error:
            notify(Note(f"{error.message[0].upper()}{error.message[1:]}."))
            registered = None
        return registered, read_file(reached, STATE_FILE) if connection.opens(cluster.head) else ""
    finally:
        connection.close()


def _ask_until(
    connection: SshHeadConnection, cluster: Cluster, cloud: Cloud, deadline: float, notify: Notify
) -> Mapping[str, int] | None:
    head = find_node(cluster, 0)
    what = "The scheduler" if cluster.has_dask else "The head"
    registered = None
    while not connection.opens(head) or (
        cluster.has_dask and (registered := connection.registered(head)) is None
    ):
        if time.monotonic() >= deadline:
            shut = not_allowed_error(cluster, cloud)
            why = f"{shut.message}: {shut.hint}" if shut else connection.trouble
            notify(Note(f"{what} does not answer. {why}".strip()))
            return None
        time.sleep(0.1)
    return registered


def _pin(node: Node, keystore: Keystore, ec2: ClusterApi) -> None:
    _pin_from(node, ec2.console_output(node.id), keystore)


def _console(node: Node, ec2: ClusterApi) -> str | BakeError:
    try:
        return ec2.console_output(node.id)
    except BakeError as error:
        return error


def _pin_from(node: Node, console: str, keystore: Keystore) -> None:
    host_key = host_key_from_console(console)
    if host_key is None:
        raise BakeError(
            f"node {node.index} ({node.id}) has not printed its host key on its console",
            hint="it may still be booting: try again in some seconds; or it has since printed more than the"
            " 64 KB of console that EC2 keeps",
        )
    keystore.pin(node, host_key)
