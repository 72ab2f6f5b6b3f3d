"""The local cloud from outside: start it, find it, stop it, and say what is wrong with it."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from dask_bake.errors import BakeError
from dask_bake.events import Notify, PhaseEnded, PhaseStarted
from dask_bake.local.leftovers import ask_to_stop, find_leftovers
from dask_bake.local.settings import Settings, read_settings

PROGRAMS = {
    "dnsmasq": "dnsmasq-base",
    "ip": "iproute2",
    "mmdebstrap": "mmdebstrap",
    "nft": "nftables",
    "packer": "packer",
    "ssh": "openssh-client",
    "systemd-nspawn": "systemd-container",
    "unshare": "util-linux",
}
"""What the local cloud runs, and the Debian package of each."""


@dataclass(frozen=True)
class Endpoint:
    """Where the local cloud answers."""

    url: str


@dataclass(frozen=True)
class LocalStatus:
    """The local cloud that runs on this machine. ``root`` is where its images are."""

    pid: int
    url: str
    block: str
    images: int
    instances: int
    root: str


@dataclass(frozen=True)
class Finding:
    """Something that is missing or left over, and what to do about it."""

    kind: str
    what: str
    remedy: str


def status(settings: Settings | None = None) -> LocalStatus | None:
    """The local cloud that runs, or None."""
    settings = settings or read_settings()
    try:
        with build_opener(ProxyHandler({})).open(f"{settings.url}/_dask_bake/status", timeout=5) as answer:
            return LocalStatus(**json.load(answer))
    except (URLError, OSError, ValueError, TypeError):
        return None


def ensure_up(notify: Notify) -> Endpoint:
    """The running local cloud, started if need be."""
    settings = read_settings()
    if status(settings) is None:
        up(notify)
    return Endpoint(settings.url)


def up(notify: Notify) -> LocalStatus:
    """Start the local cloud, or find the one that runs.

    Raises:
        BakeError: when it cannot run here; the message says why, the hint what to do.
    """
    settings = read_settings()
    running = status(settings)
    if running:
        return running
    require_programs()
    prefix = root_prefix()
    if find_leftovers(settings):
        down(notify)
    _start(settings, prefix, notify)
    started = status(settings)
    if started is None:
        raise BakeError("The local cloud started and does not answer.", hint=f"See {settings.log}.")
    return started


def require_programs() -> None:
    """Return when every program is installed.

    Raises:
        BakeError: naming the Debian packages that are missing.
    """
    packages = missing_packages()
    if packages:
        raise BakeError(
            f"The local cloud needs Debian packages that are not installed: {' '.join(packages)}.",
            hint=f"apt-get install {' '.join(packages)}",
        )


def missing_packages() -> tuple[str, ...]:
    """The Debian packages that the local cloud lacks on this machine."""
    return tuple(sorted(package for program, package in PROGRAMS.items() if not _which(program)))


def _which(program: str) -> str | None:
    return shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")


def root_prefix() -> list[str]:
    """The words before a command that needs root: none for root, sudo where it asks nothing."""
    if os.geteuid() == 0:
        return []
    if (
        shutil.which("sudo")
        and subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0
    ):
        return ["sudo", "-n"]
    raise BakeError(
        "The local cloud needs root to boot machines; this user has neither root nor passwordless sudo.",
        hint="Run `sudo -v` first, or run dask-bake as root.",
    )


def _start(settings: Settings, prefix: Sequence[str], notify: Notify) -> None:
    with subprocess.Popen(
        [*prefix, *server_command(settings)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        cwd="/",
    ) as process:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        for line in process.stdout:
            fact = json.loads(line)
            if "ready" in fact:
                # The server goes on without us: do not wait for it, which leaving the block would do.
                process.returncode = 0
                return
            if "error" in fact:
                raise BakeError(fact["error"], hint=fact["hint"])
            notify(
                PhaseStarted(fact["started"])
                if "started" in fact
                else PhaseEnded(fact["ended"], fact["seconds"])
            )
        said = process.stderr.read().strip() if process.stderr else ""
    raise BakeError(
        f"The local cloud did not start: {said or 'its server ended'}", hint=f"See {settings.log}."
    )


def server_command(settings: Settings) -> list[str]:
    """The command that serves: in a mount namespace of its own, with our settings and nothing else."""
    kept = {
        "DASK_BAKE_LOCAL_NAME": settings.name,
        "DASK_BAKE_LOCAL_ROOT": str(settings.root),
        "DASK_BAKE_LOCAL_PORT": str(settings.port),
        "AWS_EC2_METADATA_DISABLED": "true",
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "PATH": f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin",
    }
    if settings.block:
        kept["DASK_BAKE_LOCAL_BLOCK"] = str(settings.block)
    environment = [f"{key}={value}" for key, value in kept.items()]
    server = [sys.executable, "-m", "dask_bake.local.server"]
    return ["env", *environment, "unshare", "--mount", "--propagation", "slave", *server]


def down(notify: Notify) -> None:
    """Stop the local cloud and remove all that it left, its images excepted; nothing to do is fine.

    Raises:
        BakeError: when something cannot be removed.
    """
    settings = read_settings()
    prefix = root_prefix() if (status(settings) or find_leftovers(settings)) else []
    if prefix:
        subprocess.run([*prefix, *_down_command(settings)], check=True)
        return
    notify(PhaseStarted("stop the local cloud"))
    started = time.monotonic()
    _stop_server(settings)
    for leftover in find_leftovers(settings):
        leftover.remove()
    notify(PhaseEnded("stop the local cloud", time.monotonic() - started))
    remaining = find_leftovers(settings)
    if remaining:
        raise BakeError(f"Could not remove: {', '.join(leftover.what for leftover in remaining)}.")


def _down_command(settings: Settings) -> list[str]:
    return [*server_command(settings)[:-1], "dask_bake", "local", "down"]


def _stop_server(settings: Settings) -> None:
    running = status(settings)
    if running is None:
        return
    ask_to_stop(running.pid)
    deadline = time.monotonic() + 60
    while Path(f"/proc/{running.pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)


def doctor() -> tuple[Finding, ...]:
    """What is missing on this machine, and what a killed local cloud left over; nothing is changed."""
    settings = read_settings()
    findings = [
        Finding("missing", f"Debian package {package}", f"apt-get install {package}")
        for package in missing_packages()
    ]
    if "overlay" not in Path("/proc/filesystems").read_text():
        findings.append(Finding("missing", "overlayfs in the kernel", "modprobe overlay"))
    try:
        root_prefix()
    except BakeError as error:
        findings.append(Finding("missing", "root", error.hint or ""))
    if status(settings) is None:
        findings += [
            Finding("left over", leftover.what, "dask-bake local down")
            for leftover in find_leftovers(settings)
        ]
    return tuple(findings)
