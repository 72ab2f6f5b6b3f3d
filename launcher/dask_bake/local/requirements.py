"""What the local cloud needs of this machine: programs, and root."""

import os
import shutil
from collections.abc import Callable

from dask_bake.errors import BakeError
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
"""What the local cloud runs, and the Debian package of each."""


def _which(program: str) -> str | None:
    return shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")


def require_programs(which: Callable[[str], str | None] = _which) -> None:
    """Return when every program is installed.

    Raises:
        BakeError: naming the Debian packages that are missing.
    """
    packages = missing_packages(which)
    if packages:
        raise BakeError(
            f"The local cloud needs Debian packages that are not installed: {' '.join(packages)}.",
            hint=f"apt-get install {' '.join(packages)}",
        )


def missing_packages(which: Callable[[str], str | None] = _which) -> tuple[str, ...]:
    """The Debian packages that the local cloud lacks on this machine."""
    return tuple(sorted(package for program, package in PROGRAMS.items() if not which(program)))


def root_prefix() -> list[str]:
    """The words before a command that needs root: none for root, sudo where it asks nothing."""
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo"):
        done = run_with_timeout(["sudo", "-n", "true"], RUN_TIMEOUT, new_session=False)
        if done.returncode == 0:
            return ["sudo", "-n"]
    raise BakeError(
        "The local cloud needs root to boot machines; this user has neither root nor passwordless sudo.",
        hint="Run `sudo -v` first, or run dask-bake as root.",
    )
