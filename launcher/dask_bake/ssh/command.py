"""Command lines of the system's ssh: address, key and pinned host keys."""

import os
import shlex
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dask_bake.clusters.naming import DEFAULT_USER
from dask_bake.errors import BakeError
from dask_bake.hints import cluster_command
from dask_bake.models.cluster import Cluster, Node
from dask_bake.models.tags import Tag
from dask_bake.ssh.keystore import Keystore
from dask_bake.ssh.transport import DIRECT, Transport
from dask_bake.system.subprocesses import run_with_timeout, with_limited_output

COMMAND_TIMEOUT = 60.0
"""Seconds for a short command, including the connection."""
OUTPUT_LIMIT = 8_000_000
"""Bytes of a command's output: whoever has taken over the node could fill this machine's disk."""


@dataclass(frozen=True)
class Host:
    """A node as ssh reaches it; ``proxy`` is ssh's proxy command, empty for a direct connection."""

    user: str
    address: str
    alias: str
    key: Path
    known_hosts: Path
    proxy: tuple[str, ...] = ()


@dataclass(frozen=True)
class Forward:
    """A port or Unix socket of this machine that is forwarded to a port of the node."""

    local: int | Path
    remote_port: int


def host(cluster: Cluster, node: Node, keystore: Keystore, transport: Transport = DIRECT) -> Host:
    """Return how to reach a node: the head by the cluster's transport, other nodes through the head."""
    head = cluster.head
    if node.index == 0:
        return host_of_head(node, keystore, transport)
    if head is None or not head.is_live:
        raise BakeError(
            f"cluster {cluster.name} has no head to go through", hint=cluster_command("down", cluster.name)
        )
    through = ssh_command(
        host_of_head(head, keystore, transport), options=("-W", f"[{node.private_address}]:22")
    )
    return _host(node, node.private_address, keystore, tuple(through))


def host_of_head(head: Node, keystore: Keystore, transport: Transport) -> Host:
    """Return how to reach the head."""
    return _host(head, transport.address(head), keystore, transport.proxy(head))


def ssh_options(host: Host) -> list[str]:
    """Return ssh's options for the host: they ignore the user's agent and pinned keys, and never prompt."""
    options = [
        *("-o", f'IdentityFile="{_literal(host.key)}"'),
        *("-o", f'UserKnownHostsFile="{_literal(host.known_hosts)}"', "-o", "GlobalKnownHostsFile=/dev/null"),
        *("-o", f"HostKeyAlias={host.alias}", "-o", "StrictHostKeyChecking=yes", "-o", "UpdateHostKeys=no"),
        *("-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", "BatchMode=yes"),
        *("-o", "ControlPath=none", "-o", "ConnectTimeout=10", "-o", "ServerAliveInterval=15"),
        *("-o", "LogLevel=ERROR"),
    ]
    if host.proxy:
        options += ["-o", f"ProxyCommand={shlex.join(host.proxy).replace('%', '%%')}"]
    return options


def ssh_command(
    host: Host, *, options: Sequence[str] = (), forwards: Sequence[Forward] = (), words: Sequence[str] = ()
) -> list[str]:
    """Return an ssh command that ignores the user's files, never prompts and accepts only pinned keys."""
    command = ["ssh", "-F", "none", "-l", host.user, *ssh_options(host)]
    for forward in forwards:
        local = f"127.0.0.1:{forward.local}" if isinstance(forward.local, int) else forward.local
        command += ["-L", f"{local}:127.0.0.1:{forward.remote_port}"]
    return [*command, *options, host.address, *words]


def sftp_command(host: Host) -> list[str]:
    """Return the sftp command with the same options, which reads its commands from its input."""
    return ["sftp", "-F", "none", "-o", f"User={host.user}", *ssh_options(host), "-b", "-", host.address]


def tunnel_command(host: Host, forwards: Sequence[Forward]) -> list[str]:
    """Return the ssh command that only forwards ports; a socket that an earlier ssh left is replaced."""
    options = ("-N", "-T", "-o", "ExitOnForwardFailure=yes", "-o", "StreamLocalBindUnlink=yes")
    return ssh_command(host, options=options, forwards=forwards)


def shell_command(host: Host, words: Sequence[str], *, is_terminal: bool) -> list[str]:
    """Return the ssh command for a remote command or a login shell.

    A single word is passed on as a shell command line; several words are quoted as separate arguments.
    """
    remote = words if len(words) < 2 else [shlex.join(words)]
    return ssh_command(
        host, options=("-t",) if is_terminal and not words else ("-T",) if words else (), words=remote
    )


def run_shell(command: Sequence[str], execute: Callable[[str, list[str]], object] = os.execvp) -> None:
    """Replace this process by the command, which keeps input, output and exit code."""
    try:
        execute(command[0], list(command))
    except FileNotFoundError as error:
        raise BakeError("there is no ssh on this machine", hint="apt install openssh-client") from error


def run_there(
    host: Host, words: Sequence[str], seconds: float = COMMAND_TIMEOUT, *, limit: int = OUTPUT_LIMIT
) -> "subprocess.CompletedProcess[str]":
    """Run a non-interactive command on the node with limits of time and output, and return its outcome."""
    command = ssh_command(host, options=("-T",), words=(shlex.join(words),))
    return run_with_timeout(with_limited_output(command, limit), seconds)


def read_file(host: Host, path: str) -> str:
    """Return a node's file without surrounding white space; "" if it cannot be read."""
    return run_there(host, ["cat", path]).stdout.strip()


def _host(node: Node, address: str, keystore: Keystore, proxy: tuple[str, ...]) -> Host:
    return Host(
        user=dict(node.tags).get(Tag.USER, DEFAULT_USER),
        address=address,
        alias=keystore.alias(node),
        key=keystore.key,
        known_hosts=keystore.known_hosts,
        proxy=proxy,
    )


def _literal(path: Path) -> str:
    # In a file name, ssh expands tokens that begin with %.
    return str(path).replace("%", "%%")
