"""The local cloud from outside: start it, find it, stop it, and say what is wrong with it."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

from dask_bake.errors import BakeError
from dask_bake.events import Notify, PhaseEnded, PhaseStarted
from dask_bake.local.claim import holder
from dask_bake.local.commands import run
from dask_bake.local.leftovers import end_process, find_leftovers
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


LONGEST_START = 900
"""Seconds after which a local cloud that another command starts is not waited for any more."""


def _which(program: str) -> str | None:
    return shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")


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
    """The local cloud that runs, or None; another one, with another root, is not ours."""
    settings = settings or read_settings()
    try:
        with build_opener(ProxyHandler({})).open(f"{settings.url}/_dask_bake/status", timeout=5) as answer:
            found = LocalStatus(**json.load(answer))
    except (OSError, HTTPException, ValueError, TypeError):
        return None
    return found if found.root == str(settings.root) else None


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
    leftovers = find_leftovers(settings)  # before asking who holds it: what a start makes is not left over
    running = _wait_for_other(settings, notify)
    if running:
        return running
    if leftovers:
        down(notify)
    try:
        _start(settings, prefix, notify)
    except BakeError:
        running = _wait_for_other(settings, notify)
        if running:
            return running
        raise
    started = status(settings)
    if started is None:
        raise BakeError("The local cloud started and does not answer.", hint=f"See {settings.log}.")
    return started


def _wait_for_other(settings: Settings, notify: Notify) -> LocalStatus | None:
    """The local cloud that another command is starting, once it answers; None when it went away instead."""
    if holder(settings) is None:
        return None
    notify(PhaseStarted("wait for the local cloud"))
    started = time.monotonic()
    running = None
    while holder(settings) and running is None and time.monotonic() - started < LONGEST_START:
        running = status(settings)
        time.sleep(0.1)
    notify(PhaseEnded("wait for the local cloud", time.monotonic() - started))
    return running


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
        try:
            if follow_start(process.stdout, notify):
                # The server goes on without us: do not wait for it, which leaving the block would do.
                process.returncode = 0
                return
        except KeyboardInterrupt:
            with suppress(PermissionError):  # sudo's child is not ours to end; its server stays
                process.terminate()
            raise
        said = process.stderr.read().strip() if process.stderr else ""
    raise BakeError(
        f"The local cloud did not start: {said or 'its server ended'}", hint=f"See {settings.log}."
    )


def follow_start(lines: Iterable[str], notify: Notify) -> bool:
    """Pass on what the server reports while it starts; whether it was ready at the end.

    Raises:
        BakeError: when the server says that it cannot run.
    """
    for line in lines:
        fact = json.loads(line)
        match fact:
            case {"ready": _}:
                return True
            case {"error": message, "hint": hint}:
                raise BakeError(message, hint=hint)
            case {"started": phase}:
                notify(PhaseStarted(phase))
            case {"ended": phase, "seconds": seconds}:
                notify(PhaseEnded(phase, seconds))
    return False


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
    prefix = root_prefix() if (_server_pid(settings) or find_leftovers(settings)) else []
    if prefix:
        run([*prefix, *_down_command(settings)])
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
    pid = _server_pid(settings)
    if pid is None:
        return
    end_process(pid, patience=60)


def _server_pid(settings: Settings) -> int | None:
    """The server, also when it does not answer: it is starting, or stuck."""
    running = status(settings)
    return running.pid if running else holder(settings)


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
    if _server_pid(settings) is None:
        findings += [
            Finding("left over", leftover.what, "dask-bake local down")
            for leftover in find_leftovers(settings)
        ]
    return tuple(findings)
