"""``dask-bake ssh-config``: a cluster's nodes in the configuration of the user's own ssh."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dask_bake.access import ssh_config
from dask_bake.clusters.inventory import find
from dask_bake.commands.confirm import confirm
from dask_bake.ec2.api import Ec2
from dask_bake.errors import BakeError, UsageError
from dask_bake.events import Note
from dask_bake.models.cloud import Cloud
from dask_bake.ssh.command import Host
from dask_bake.ssh.connect import find_node, local_keystore, prepare_hosts
from dask_bake.view.terminal import Terminal


@dataclass(frozen=True)
class SshConfigOptions:
    """Options of ``dask-bake ssh-config``."""

    name: str | None = None
    write: bool = False
    asks: bool = True
    json_output: bool = False


def run(
    options: SshConfigOptions,
    cloud: Cloud,
    ec2: Ec2,
    terminal: Terminal,
    *,
    config: Path | None = None,
    environ: Mapping[str, str] = os.environ,
) -> int:
    """Print the entries of a cluster's nodes, or write them for the user's ssh.

    Args:
        config: the configuration of the user's ssh.
    """
    config = config or ssh_config.user_config()
    cluster = find(ec2, cloud, options.name)
    find_node(cluster, 0)
    reached = prepare_hosts(cluster, cluster.known_nodes, cloud, ec2)
    for index, error in reached.items():
        if isinstance(error, BakeError):
            terminal.notify(Note(f"Node {index} is left out: {error.message}."))
    hosts = {index: host for index, host in reached.items() if isinstance(host, Host)}
    entries = ssh_config.render(cluster, hosts)
    if options.write:
        if not ssh_config.is_included(config, environ):
            if options.asks and not _is_allowed(config, environ, terminal):
                return 0
            ssh_config.include(config, environ)
        ssh_config.write(local_keystore(cluster, cloud), entries, environ)
    file = local_keystore(cluster, cloud).ssh_config if options.write else None
    if options.json_output:
        terminal.write_json(document(cluster.name, entries, file))
    elif options.write:
        others = f", {', '.join(entries.names[2:])}" if entries.names[2:] else ""
        terminal.out.print(f"ssh now knows {cluster.name}{others}, until the cluster ends.")
    else:
        terminal.write(entries.text.rstrip("\n"))
    return 0


def remove(
    name: str | None,
    terminal: Terminal,
    *,
    json_output: bool,
    config: Path | None = None,
    environ: Mapping[str, str] = os.environ,
) -> int:
    """Remove the entries of the clusters of that name, or all; with the last ones, the line for them."""
    config = config or ssh_config.user_config()
    files = ssh_config.written(environ, name)
    for file in files:
        file.unlink(missing_ok=True)
    is_last = not ssh_config.written(environ)
    has_changed = is_last and ssh_config.exclude(config)
    if json_output:
        terminal.write_json({"removed": [str(file) for file in files], "excluded": has_changed})
    else:
        what = f"of {len(files)} cluster{'' if len(files) == 1 else 's'}" if files else "of no cluster"
        rest = f", and the line in {config}" if has_changed else ""
        terminal.out.print(f"Removed the entries {what}{rest}.")
    return 0


def document(name: str, entries: ssh_config.Entries, file: Path | None) -> dict[str, Any]:
    """Return the entries for ``--json``."""
    return {
        "name": name,
        "hosts": list(entries.names),
        "config": entries.text,
        "file": None if file is None else str(file),
    }


def _is_allowed(config: Path, environ: Mapping[str, str], terminal: Terminal) -> bool:
    if not sys.stdin.isatty():
        raise UsageError(
            f"this adds two lines to {config}, and there is no terminal to confirm it on",
            hint="--yes adds them; without --write the entries are printed",
        )
    return confirm(
        terminal,
        f"This goes to the top of {config}:\n\n{ssh_config.include_lines(environ)}",
        question="Add it?",
        declined="Nothing was written.",
    )
