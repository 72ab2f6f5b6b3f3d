"""Start, find, stop and examine the local cloud, from a command's process."""

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

from dask_bake.errors import BakeError, UsageError
from dask_bake.events import Notify, PhaseEnded, PhaseStarted
from dask_bake.local.admin_client import ask
from dask_bake.local.cleanup import end_server, find_leftovers
from dask_bake.local.credentials import Credentials, read_credentials
from dask_bake.local.machines.mapped_mount import can_map
from dask_bake.local.pidfile import running_pid
from dask_bake.local.requirements import missing_packages, require_programs, root_prefix
from dask_bake.local.server_process import server_command, start_server
from dask_bake.local.settings import Settings, read_settings
from dask_bake.local.user_namespace import missing_namespaces
from dask_bake.models.debian import NEWEST, RUNNING_PYTHON, DebianRelease, release_with
from dask_bake.system.subprocesses import RUN_TIMEOUT, run, run_with_timeout

START_TIMEOUT = 900
"""Seconds to wait for a local cloud that another command starts."""
STOP_TIMEOUT = 60.0
"""Seconds for the server to end its instances and remove what it made."""
NOTE = "note"
"""The kind of a finding with which the local cloud works all the same."""
BASE_TREE_TIMEOUT = 3700.0
"""Seconds for making a Debian tree, over a slow line too."""


@dataclass(frozen=True)
class LocalEndpoint:
    """The URL of the running local cloud, and the key pair with which its requests are signed."""

    url: str
    credentials: Credentials


@dataclass(frozen=True)
class LocalStatus:
    """The state of a running local cloud. ``root`` is the folder of its images."""

    pid: int
    url: str
    block: str
    images: int
    instances: int
    root: str


@dataclass(frozen=True)
class Finding:
    """A missing requirement, something left over, or a ``NOTE``, with its remedy."""

    kind: str
    what: str
    remedy: str


def status(settings: Settings | None = None) -> LocalStatus | None:
    """Return the state of the running local cloud, or None.

    It is the one whose server holds the pid file and has its key pair; whoever else listens at the port is
    not believed.

    Raises:
        UsageError: when it belongs to another user.
    """
    settings = settings or read_settings()
    pid = running_pid(settings)
    if pid is None:
        return None
    try:
        fields = ask("GET", "status", settings=settings, timeout=5)
    except UsageError:
        raise
    except BakeError:
        return None  # it is starting, or another program has its port
    if (fields.pop("name"), fields["root"]) != (settings.name, str(settings.root)):
        return None
    return LocalStatus(**{**fields, "pid": pid})


def endpoint(settings: Settings | None = None) -> LocalEndpoint | None:
    """Return the endpoint of the running local cloud, or None."""
    settings = settings or read_settings()
    if status(settings) is None:
        return None
    return LocalEndpoint(settings.url, read_credentials(settings))


def ensure_up(notify: Notify, base: DebianRelease | None = None) -> LocalEndpoint:
    """Return the running local cloud; start it and make the release's base image where missing."""
    settings = read_settings()
    if status(settings) is None:
        up(notify, base)
    elif base is not None:
        _ensure_base(settings, base, notify)
    return LocalEndpoint(settings.url, read_credentials(settings))


def up(notify: Notify, base: DebianRelease | None = None) -> LocalStatus:
    """Start the local cloud unless it runs; make the base image where missing.

    Without ``base`` any base image will do; if there is none, that of the release with this Python is made.

    Raises:
        BakeError: when it cannot run on this machine.
    """
    settings = read_settings()
    running = status(settings)
    if running:
        _ensure_base(settings, base, notify)
        return running
    started = _start(settings, notify)
    try:
        _ensure_base(settings, base, notify)
    except BaseException:
        down(notify)
        raise
    return started


def _ensure_base(settings: Settings, base: DebianRelease | None, notify: Notify) -> None:
    present = ask("GET", "bases", settings=settings)
    if base is None and present:
        return
    base = base or release_with(RUNNING_PYTHON) or NEWEST
    if base.name in present:
        return
    phase = f"make the {base} base tree"
    notify(PhaseStarted(phase))
    began = time.monotonic()
    ask("POST", "bases", {"release": base.name}, settings=settings, timeout=BASE_TREE_TIMEOUT)
    notify(PhaseEnded(phase, time.monotonic() - began))


def _start(settings: Settings, notify: Notify) -> LocalStatus:
    require_programs()
    prefix = root_prefix()
    leftovers = find_leftovers(settings)  # before looking for another start, whose files are not left over
    running = _wait_for_other(settings, notify)
    if running:
        return running
    if leftovers:
        down(notify)
    try:
        start_server(settings, prefix)
    except BakeError:
        running = _wait_for_other(settings, notify)
        if running:
            return running
        raise
    started = status(settings)
    if started is None:
        raise BakeError("the local cloud has started and does not answer", hint=f"see {settings.log}")
    return started


def _wait_for_other(settings: Settings, notify: Notify) -> LocalStatus | None:
    """Wait for a local cloud that another command is starting; return None where it ends instead."""
    if running_pid(settings) is None:
        return None
    notify(PhaseStarted("wait for the local cloud"))
    started = time.monotonic()
    running = None
    while running_pid(settings) and running is None and time.monotonic() - started < START_TIMEOUT:
        running = status(settings)
        time.sleep(0.1)
    notify(PhaseEnded("wait for the local cloud", time.monotonic() - started))
    return running


def down(notify: Notify) -> None:
    """Stop the local cloud, and remove everything that it made except its images; safe to repeat.

    Raises:
        BakeError: when something cannot be removed.
    """
    settings = read_settings()
    prefix = root_prefix() if find_leftovers(settings) else []  # a running server's folder is among them
    if prefix:
        run([*prefix, *_as_root(settings, "down")], new_session=False)
        return
    notify(PhaseStarted("stop the local cloud"))
    started = time.monotonic()
    end_server(settings, timeout=STOP_TIMEOUT)
    for leftover in find_leftovers(settings):
        leftover.remove()
    notify(PhaseEnded("stop the local cloud", time.monotonic() - started))
    remaining = find_leftovers(settings)
    if remaining:
        raise BakeError(f"could not remove: {', '.join(leftover.what for leftover in remaining)}")


def _as_root(settings: Settings, *words: str) -> list[str]:
    """Return the command line of ``dask-bake local …`` with the same settings, to be run as root."""
    return [*server_command(settings)[:-1], "dask_bake", "local", *words]


def doctor() -> tuple[Finding, ...]:
    """Return what is missing on this machine, and what a killed local cloud left over; change nothing.

    Firewall rules and some folders are visible to root alone, so this runs as root where possible.
    """
    settings = read_settings()
    try:
        prefix = root_prefix()
    except BakeError as error:
        return (*_missing(), Finding("missing", "root", error.hint or ""), *_left_over(settings))
    if not prefix:
        return (*_missing(), *_weaker(settings), *_left_over(settings))
    command = [*prefix, *_as_root(settings, "doctor", "--json")]
    done = run_with_timeout(command, RUN_TIMEOUT, new_session=False)
    return tuple(Finding(**finding) for finding in json.loads(done.stdout))


def _missing() -> tuple[Finding, ...]:
    packages = missing_packages()
    found = [Finding("missing", f"Debian package {name}", f"apt-get install {name}") for name in packages]
    if not has_overlayfs():
        found.append(Finding("missing", "overlayfs in the kernel", "modprobe overlay"))
    namespaces = missing_namespaces()
    if namespaces:
        found.append(Finding("missing", *namespaces))
    return tuple(found)


def _weaker(settings: Settings) -> tuple[Finding, ...]:
    folder = next((each for each in (settings.layers, settings.instances) if not can_map(each)), None)
    if folder is None:
        return ()
    what = f"all instances have the same users of this machine: owners in {folder} cannot be mapped"
    return (Finding(NOTE, what, "Linux 5.19 or newer, and ext4, XFS or Btrfs, give each its own"),)


def _left_over(settings: Settings) -> tuple[Finding, ...]:
    try:
        if running_pid(settings) is not None:
            return ()
    except UsageError:  # another user's, and running
        return ()
    return tuple(
        Finding("left over", leftover.what, "dask-bake local down") for leftover in find_leftovers(settings)
    )


def has_overlayfs() -> bool:
    """Return whether the kernel has overlayfs, or a module for it that a mount loads."""
    modules = Path("/lib/modules", os.uname().release, "kernel/fs/overlayfs")
    return modules.exists() or "overlay" in Path("/proc/filesystems").read_text()
