"""Entries for a cluster's nodes in the configuration of the user's own ssh.

A cluster's entries are a file in its keystore, and so they end with the cluster. The user's configuration
includes the files of all clusters by its first line: for ssh the first value of an option counts.
"""

import os
import pwd
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dask_bake.access.nodes import node_name
from dask_bake.errors import BakeError
from dask_bake.hints import command_line
from dask_bake.models.cluster import Cluster
from dask_bake.ssh.command import Host
from dask_bake.ssh.keystore import SSH_CONFIG, Keystore, keystores_home
from dask_bake.system.files import replace_file

HEADER = re.compile(r"# dask-bake: (\S+) (\S+) (\S+)\n")
"""The first line of a cluster's file: its cloud, region and name."""
MARK = "# The clusters of dask-bake ssh-config; dask-bake ssh-config --remove takes these two lines out."
LIMIT = 1_000_000
"""Bytes of a configuration that are read."""
ALWAYS = (
    "Port 22",
    "GlobalKnownHostsFile /dev/null",
    "StrictHostKeyChecking yes",
    "UpdateHostKeys no",
    "IdentitiesOnly yes",
    "IdentityAgent none",
    "ForwardAgent no",
    "ControlMaster no",
    "ControlPath none",
    "ConnectTimeout 10",
    "ServerAliveInterval 15",
)
"""Options of every node. A shared connection that stays would keep a cluster from being idle."""


@dataclass(frozen=True)
class Entries:
    """A cluster's entries: the names of its nodes, and the text."""

    names: tuple[str, ...]
    text: str


def render(cluster: Cluster, hosts: Mapping[int, Host]) -> Entries:
    """Return the entries of a cluster: every node as ``NAME-1``, and the head as ``NAME`` too."""
    names: list[str] = []
    blocks = [f"# dask-bake: {cluster.cloud} {cluster.region} {cluster.name}\n"]
    for index, host in sorted(hosts.items()):
        own = [cluster.name] if index == 0 else []
        own.append(node_name(cluster.name, index))
        way = f"ProxyJump {node_name(cluster.name, 0)}" if index else _proxy(host)
        lines = (
            f"HostName {host.address}",
            f"User {host.user}",
            f"IdentityFile {_quoted(host.key)}",
            f"UserKnownHostsFile {_quoted(host.known_hosts)}",
            f"HostKeyAlias {host.alias}",
            way,
            *ALWAYS,
        )
        blocks.append("\n    ".join([f"Host {' '.join(own)}", *lines]) + "\n")
        names += own
    return Entries(tuple(names), "\n".join(blocks))


def user_config() -> Path:
    """Return the configuration of the user's ssh, which finds it by the list of users, not by ``HOME``."""
    return Path(pwd.getpwuid(os.geteuid()).pw_dir) / ".ssh" / "config"


def include_lines(environ: Mapping[str, str]) -> str:
    """Return the lines by which the user's configuration includes all clusters' entries."""
    return f"{MARK}\nInclude {_quoted(keystores_home(environ) / '*' / SSH_CONFIG)}\n"


def is_included(config: Path, environ: Mapping[str, str]) -> bool:
    """Return whether the user's configuration includes the entries."""
    return include_lines(environ).encode() in _read(config)


def include(config: Path, environ: Mapping[str, str]) -> None:
    """Put the lines that include the entries at the top of the user's configuration."""
    before = _read(config)
    lines = include_lines(environ).encode()
    try:
        config.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(config, lines + (b"\n" if before else b"") + before)
    except OSError as error:
        raise _not_written(config, error) from error


def exclude(config: Path) -> bool:
    """Take the lines out of the user's configuration; return whether there were any."""
    before = _read(config)
    pattern = rb"^" + re.escape(MARK.encode()) + rb"\nInclude [^\n]*\n\n?"
    after = re.sub(pattern, b"", before, flags=re.MULTILINE)
    if after == before:
        return False
    try:
        replace_file(config, after)
    except OSError as error:
        raise _not_written(config, error) from error
    return True


def write(keystore: Keystore, entries: Entries, environ: Mapping[str, str]) -> None:
    """Write a cluster's entries to its keystore.

    Raises:
        BakeError: if the name of one of its nodes is that of another cluster or of its node.
    """
    for other in written(environ):
        taken = set(entries.names) & _names(other)
        if other != keystore.ssh_config and taken:
            name, where = sorted(taken)[0], identity(other)
            raise BakeError(
                f"ssh's configuration has {name} already, for cluster {where[2]} in {where[0]} {where[1]}",
                hint=f"{command_line('ssh-config', where[2], '--remove')} takes that out",
            )
    try:
        replace_file(keystore.ssh_config, entries.text.encode())
    except OSError as error:
        raise _not_written(keystore.ssh_config, error) from error


def written(environ: Mapping[str, str], name: str | None = None) -> list[Path]:
    """Return the files of the clusters of that name, or of all, that have entries."""
    found = sorted(keystores_home(environ).glob(f"*/{SSH_CONFIG}"))
    return [path for path in found if name is None or identity(path)[2] == name]


def identity(path: Path) -> tuple[str, str, str]:
    """Return cloud, region and name of the cluster whose entries the file has; empty for another file."""
    match = HEADER.match(_read(path).decode(errors="replace"))
    return (match[1], match[2], match[3]) if match else ("", "", "")


def _names(path: Path) -> set[str]:
    lines = _read(path).decode(errors="replace").splitlines()
    return {name for line in lines if line.startswith("Host ") for name in line.split()[1:]}


def _proxy(host: Host) -> str:
    return f"ProxyCommand {shlex.join(host.proxy).replace('%', '%%')}" if host.proxy else "ProxyCommand none"


def _quoted(path: Path) -> str:
    return f'"{str(path).replace("%", "%%")}"'


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(LIMIT + 1)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise BakeError(f"{path} cannot be read: {error.strerror}", hint="look at its rights") from error
    if len(content) > LIMIT:
        raise BakeError(
            f"{path} has more than {LIMIT} bytes", hint="shorten it, or include the entries by hand"
        )
    return content


def _not_written(path: Path, error: OSError) -> BakeError:
    return BakeError(
        f"{path} could not be written: {error.strerror}; it is as it was",
        hint="dask-bake ssh-config prints the entries, to be put there by hand",
    )
