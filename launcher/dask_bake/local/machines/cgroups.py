"""A control group for each machine, so that a machine's systemd does not see the processes of others.

systemd-nspawn uses the group that it was started in as the machine's root. Without groups of their own all
machines would share the host's, with slices of the same names.
"""

import time
from collections.abc import Sequence
from pathlib import Path

ENTER_SCRIPT = 'while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs"; shift; done; shift; exec "$@"'
"""A shell script that enters the groups before ``--`` and then executes the command after it."""


def hierarchies(mounts: Path = Path("/proc/self/mounts")) -> tuple[Path, ...]:
    """Return the mount points of systemd's control groups: version 2, and version 1 where mounted."""
    found = []
    for line in mounts.read_text().splitlines():
        _source, folder, kind, options, *_ = line.split()
        if kind == "cgroup2" or (kind == "cgroup" and "name=systemd" in options.split(",")):
            found.append(Path(folder))
    return tuple(found)


def group_paths(machine: str) -> tuple[Path, ...]:
    """Return the machine's group in each hierarchy."""
    return tuple(hierarchy / machine for hierarchy in hierarchies())


def in_groups(groups: Sequence[Path], command: Sequence[str]) -> list[str]:
    """Return the command line that runs a command in these groups."""
    return ["sh", "-c", ENTER_SCRIPT, "enter", *(str(group) for group in groups), "--", *command]


def make_groups(machine: str) -> tuple[Path, ...]:
    """Make the machine's groups, and return them."""
    groups = group_paths(machine)
    for group in groups:
        group.mkdir(exist_ok=True)
    return groups


def remove_groups(machine: str, *, timeout: float = 5.0) -> None:
    """Remove an ended machine's groups; wait up to ``timeout`` seconds for its last process to end."""
    deadline = time.monotonic() + timeout
    while not all(_removed(group) for group in group_paths(machine)) and time.monotonic() < deadline:
        time.sleep(0.01)


def _removed(group: Path) -> bool:
    if not group.exists():
        return True
    try:
        for folder in sorted((path for path in group.rglob("*") if path.is_dir()), reverse=True):
            folder.rmdir()
        group.rmdir()
    except OSError:
        return False
    return True
