"""A control group for each machine, so that no machine's systemd finds another's processes in its own groups.

systemd-nspawn takes the group that it was started in for the machine's root. Without groups of their own all
machines would share the host's, and each would keep a slice of the same name in the same place.
"""

import time
from collections.abc import Sequence
from pathlib import Path

ENTER = 'while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs"; shift; done; shift; exec "$@"'
"""A shell's words: enter the groups before ``--``, then become the command after it."""


def hierarchies(mounts: Path = Path("/proc/self/mounts")) -> tuple[Path, ...]:
    """Where systemd keeps its groups on this machine: version 2's, and version 1's if it has one."""
    found = []
    for line in mounts.read_text().splitlines():
        _source, place, kind, options, *_ = line.split()
        if kind == "cgroup2" or (kind == "cgroup" and "name=systemd" in options.split(",")):
            found.append(Path(place))
    return tuple(found)


def groups_of(machine: str) -> tuple[Path, ...]:
    """The machine's folder in each hierarchy."""
    return tuple(hierarchy / machine for hierarchy in hierarchies())


def within(groups: Sequence[Path], command: Sequence[str]) -> list[str]:
    """The command line that runs a command in those groups."""
    return ["sh", "-c", ENTER, "enter", *(str(group) for group in groups), "--", *command]


def make_groups(machine: str) -> tuple[Path, ...]:
    """Make the machine's groups."""
    groups = groups_of(machine)
    for group in groups:
        group.mkdir(exist_ok=True)
    return groups


def remove_groups(machine: str, *, patience: float = 5.0) -> None:
    """Remove an ended machine's groups; the kernel has ``patience`` seconds to end the last process."""
    deadline = time.monotonic() + patience
    while not all(_removed(group) for group in groups_of(machine)) and time.monotonic() < deadline:
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
