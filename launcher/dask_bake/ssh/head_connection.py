"""SSH connection to the head: keys, pinned host keys, and a tunnel to the scheduler's dashboard."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from dask_bake.errors import BakeError
from dask_bake.models.cluster import DASHBOARD_PORT, Cluster, Node
from dask_bake.ssh.command import Forward, host, host_of_head, run_there
from dask_bake.ssh.keystore import Keys, Keystore
from dask_bake.ssh.scheduler_http import REQUEST_TIMEOUT, get_json, worker_count, workers_per_host
from dask_bake.ssh.transport import DIRECT, Transport
from dask_bake.ssh.tunnel import Tunnel, connect_to, private_socket

JOURNAL_LINES = 300
JOURNAL_TIMEOUT = 15.0


class SshHeadConnection:
    """An SSH connection to the head over any transport, with the cluster's own key."""

    def __init__(self, keystore: Keystore, keys: Keys | None = None, transport: Transport = DIRECT) -> None:
        self._keystore = keystore
        self._keys = keys
        self._transport = transport
        self._tunnel: Tunnel | None = None
        self._total = -1
        self._registered: Mapping[str, int] = {}

    @property
    def trouble(self) -> str:
        """Return ssh's last error message."""
        return self._tunnel.trouble if self._tunnel else ""

    def prepare(self) -> None:
        """Store the cluster's keys on this machine."""
        if self._keys is not None:
            self._keystore.write(self._keys)

    def pin(self, node: Node, host_key: str) -> None:
        """Store the node's host key."""
        self._keystore.pin(node, host_key)

    def is_pinned(self, node: Node) -> bool:
        """Return whether the node's host key is stored."""
        return self._keystore.is_pinned(node)

    def opens(self, head: Node) -> bool:
        """Return whether the tunnel is open; take the next step to open it."""
        return self._tunnel_to(head).advance()

    def registered(self, head: Node) -> Mapping[str, int] | None:
        """Return the worker processes that the scheduler knows, per private address.

        Return ``None`` if the tunnel is not open or the scheduler does not respond.

        Raises:
            BakeError: if the scheduler's response cannot be used.
        """
        tunnel = self._tunnel_to(head)
        return self._ask(tunnel.forwards[0]) if tunnel.advance() else None

    def journal(self, cluster: Cluster, node: Node, unit: str) -> str:
        """Return the last lines of a unit's journal on a node; "" if they cannot be read within seconds."""
        words = ["sudo", "-n", "journalctl", "-u", unit, "-n", str(JOURNAL_LINES), "-o", "cat", "--no-pager"]
        try:
            done = run_there(host(cluster, node, self._keystore, self._transport), words, JOURNAL_TIMEOUT)
        except BakeError:
            return ""
        return done.stdout if done.returncode == 0 else ""

    def close(self) -> None:
        """Close the tunnel."""
        if self._tunnel is not None:
            self._tunnel.close()
            self._tunnel = None

    def forget(self) -> None:
        """Close the tunnel and delete the keystore."""
        self.close()
        self._keystore.delete()

    def _tunnel_to(self, head: Node) -> Tunnel:
        reached = host_of_head(head, self._keystore, self._transport)
        if self._tunnel is None or self._tunnel.host != reached:
            self.close()
            self._tunnel = Tunnel(reached, [Forward(private_socket(DASHBOARD_PORT), DASHBOARD_PORT)])
            self._total = -1
        return self._tunnel

    def _ask(self, forward: Forward) -> Mapping[str, int] | None:
        # The counts are a small document; the workers' identities are requested only when the counts change.
        counts = _get(forward, "/json/counts.json")
        if counts is None:
            return None
        if worker_count(counts) != self._total:
            identity = _get(forward, "/json/identity.json")
            if identity is None:
                return None
            self._registered = workers_per_host(identity)
            self._total = sum(self._registered.values())
        return self._registered


def _get(forward: Forward, path: str) -> Mapping[str, Any] | None:
    with suppress(OSError), connect_to(forward, REQUEST_TIMEOUT) as connection:
        return get_json(connection, path)
    return None
