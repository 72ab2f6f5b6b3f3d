"""The system's ssh, as lists of words: who is asked, with which key, and whose host key is believed."""

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
from dask_bake.system.subprocesses import run_with_timeout

COMMAND_TIMEOUT = 60.0
"""Seconds, the connection included, for a command whose work is nothing."""


@dataclass(frozen=True)
class Host:
    """A node as ssh reaches it; ``proxy`` is the command that carries the connection, where one does."""

    user: str
    address: str
    alias: str
    key: Path
    known_hosts: Path
    proxy: tuple[str, ...] = ()


@dataclass(frozen=True)
class Forward:
    """A port of this machine that is the port of the other."""

    local_port: int
    remote_port: int


def host(cluster: Cluster, node: Node, keystore: Keystore, transport: Transport = DIRECT) -> Host:
    """The node as reached from here: the head by the cluster's way, every other one through the head."""
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
    """The head as reached from here."""
    return _host(head, transport.address(head), keystore, transport.proxy(head))


def ssh_command(
    host: Host, *, options: Sequence[str] = (), forwards: Sequence[Forward] = (), words: Sequence[str] = ()
) -> list[str]:
    """The ssh command line: reads no file of the user's, asks nothing, and believes pinned host keys only."""
    command = [
        *("ssh", "-F", "none", "-l", host.user),
        *("-o", f'IdentityFile="{_literal(host.key)}"'),
        *("-o", f'UserKnownHostsFile="{_literal(host.known_hosts)}"', "-o", "GlobalKnownHostsFile=/dev/null"),
        *("-o", f"HostKeyAlias={host.alias}", "-o", "StrictHostKeyChecking=yes", "-o", "UpdateHostKeys=no"),
        *("-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", "BatchMode=yes"),
        *("-o", "ControlPath=none", "-o", "ConnectTimeout=10", "-o", "ServerAliveInterval=15"),
        *("-o", "LogLevel=ERROR"),
    ]
    if host.proxy:
        command += ["-o", f"ProxyCommand={shlex.join(host.proxy).replace('%', '%%')}"]
    for forward in forwards:
        command += ["-L", f"127.0.0.1:{forward.local_port}:127.0.0.1:{forward.remote_port}"]
    return [*command, *options, host.address, *words]


def tunnel_command(host: Host, forwards: Sequence[Forward]) -> list[str]:
    """The ssh that only forwards."""
    return ssh_command(host, options=("-N", "-T", "-o", "ExitOnForwardFailure=yes"), forwards=forwards)


def shell_command(host: Host, words: Sequence[str], *, is_terminal: bool) -> list[str]:
    """The ssh that runs the command, or a login shell; one word is a shell's line, several are kept apart."""
    remote = words if len(words) < 2 else [shlex.join(words)]
    return ssh_command(
        host, options=("-t",) if is_terminal and not words else ("-T",) if words else (), words=remote
    )


def run_shell(command: Sequence[str], execute: Callable[[str, list[str]], object] = os.execvp) -> None:
    """Becomes the command: its input, output and exit code are ours from here on."""
    try:
        execute(command[0], list(command))
    except FileNotFoundError as error:
        raise BakeError("there is no ssh on this machine", hint="apt install openssh-client") from error


def run_there(
    host: Host, words: Sequence[str], seconds: float = COMMAND_TIMEOUT
) -> "subprocess.CompletedProcess[str]":
    """What became of a command on the node that asks nothing; one that takes longer is ended."""
    return run_with_timeout(ssh_command(host, options=("-T",), words=(shlex.join(words),)), seconds)


def read_file(host: Host, path: str) -> str:
    """What a file on the node holds, without white space around it; empty where it cannot be read."""
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
    # ssh takes % in a file name as the start of a token.
    return str(path).replace("%", "%%")
