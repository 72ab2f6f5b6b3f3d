"""The programs that the local cloud runs, and root privileges."""

import os
import shutil
from collections.abc import Callable

from dask_bake.errors import BakeError
from dask_bake.local.user_namespace import require_user_namespaces
from dask_bake.system.subprocesses import RUN_TIMEOUT, run_with_timeout

PROGRAMS = {
    "dnsmasq": "dnsmasq-base",
    "ip": "iproute2",
    "mmdebstrap": "mmdebstrap",
    "nft": "nftables",
    "ssh": "openssh-client",
    "systemd-nspawn": "systemd-container",
    "unshare": "util-linux",
}
"""The programs with their Debian packages."""


def _which(program: str) -> str | None:
    return shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")


def require_programs(which: Callable[[str], str | None] = _which) -> None:
    """Check that every program is installed, and that the kernel has user namespaces.

    Raises:
        BakeError: with the missing Debian packages, or what the kernel lacks.
    """
    packages = missing_packages(which)
    if packages:
        raise BakeError(
            f"the local cloud needs Debian packages that are not installed: {' '.join(packages)}",
            hint=f"apt-get install {' '.join(packages)}",
        )
    require_user_namespaces()


def missing_packages(which: Callable[[str], str | None] = _which) -> tuple[str, ...]:
    """Return the Debian packages that are missing on this machine."""
    return tuple(sorted(package for program, package in PROGRAMS.items() if not which(program)))


def root_prefix(user_id: int | None = None) -> list[str]:
    """Return the prefix of a command that needs root: none for root, or sudo without a password.

    Args:
        user_id: user that runs the command; None is this process's.

    Raises:
        BakeError: when the user has neither.
    """
    if (os.geteuid() if user_id is None else user_id) == 0:
        return []
    if not shutil.which("sudo"):
        raise BakeError(
            "the local cloud needs root to boot machines, and sudo is not installed",
            hint="run dask-bake as root, or install sudo",
        )
    done = run_with_timeout(["sudo", "-n", "true"], RUN_TIMEOUT, new_session=False)
    if done.returncode == 0:
        return ["sudo", "-n"]
    raise BakeError(
        "the local cloud needs root to boot machines, and sudo asks this user for a password",
        hint="run sudo -v first, or run dask-bake as root",
    )
