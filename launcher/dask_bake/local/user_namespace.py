"""User namespaces of instances: which users of the host they map, and whether the kernel has them.

Layers are stored with owners from ``OFFSET`` on, whom nobody on the host is. Where the kernel can mount them
with mapped owners, each instance has a range of users of its own; elsewhere all have that of the layers.
"""

import re
from ipaddress import IPv4Address
from pathlib import Path

from dask_bake.errors import BakeError

OFFSET = 0x6FFE0000
"""The user and group of the host who own the files of an instance's root on disk: at the end of systemd's
range for containers (systemd's UIDS-GIDS document), and above what useradd reserves in /etc/subuid."""
COUNT = 65536
FIRST_RANGE = 0x24000000
"""The first of the ranges that instances can have of their own; likewise."""
RANGES = 18835
"""Their number, at which 3000 instances of each block that a local cloud chooses have different ones."""
MAPPED_LAYERS = (5, 19)
"""The first version of Linux whose overlayfs has layers with mapped owners."""


def first_user(address: str) -> int:
    """Return the host's user that is root of the instance with an address, if it has a range of its own."""
    return FIRST_RANGE + int(IPv4Address(address)) % RANGES * COUNT


def overlays_mapped_layers(release: str) -> bool:
    """Return whether overlayfs of that version of Linux has layers with mapped owners."""
    found = re.match(r"(\d+)\.(\d+)", release)
    return found is not None and (int(found[1]), int(found[2])) >= MAPPED_LAYERS


def missing_namespaces(proc: Path = Path("/proc")) -> tuple[str, str] | None:
    """Return what keeps instances from having user namespaces, and its remedy; None if nothing does."""
    if not (proc / "self/ns/user").exists():
        return "user namespaces in the kernel", "boot a kernel with CONFIG_USER_NS, as Debian's has"
    most = proc / "sys/user/max_user_namespaces"
    if most.exists() and int(most.read_text()) == 0:
        return "user namespaces, which this machine has turned off", "sysctl user.max_user_namespaces=15000"
    if not all(_maps_range((proc / "self" / name).read_text()) for name in ("uid_map", "gid_map")):
        last = OFFSET + COUNT - 1
        return (
            f"users {OFFSET} to {last} in this container",
            "run dask-bake on the host, or in a virtual machine",
        )
    return None


def require_user_namespaces(proc: Path = Path("/proc")) -> None:
    """Check that instances can have a user namespace; without one, root of an instance is root of the host.

    Raises:
        BakeError: with the remedy.
    """
    missing = missing_namespaces(proc)
    if missing:
        raise BakeError(f"the local cloud needs {missing[0]}", hint=missing[1])


def _maps_range(text: str) -> bool:
    ranges = (tuple(int(number) for number in line.split()) for line in text.splitlines())
    return any(first <= OFFSET and first + count >= OFFSET + COUNT for first, _outside, count in ranges)
