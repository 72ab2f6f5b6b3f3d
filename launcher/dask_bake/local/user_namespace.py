"""The user namespace of instances: the range of the host's users that it maps, and whether the kernel has it.

Root of an instance is the host's user ``OFFSET``, whom nobody on the host is. All local clouds of a machine
have the same range, as it decides how layers are stored.
"""

from pathlib import Path

from dask_bake.errors import BakeError

OFFSET = 0x6FFE0000
"""The host's user and group for id 0 of an instance: at the end of systemd's range for containers (systemd's
UIDS-GIDS document), and above the ranges that useradd reserves for users in /etc/subuid."""
COUNT = 65536


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
