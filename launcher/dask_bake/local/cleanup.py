"""Find and remove what a local cloud leaves on the machine when its server is killed.

Everything is recognised by the local cloud's name or root, so that other local clouds are left alone.
"""

import os
import re
import select
import shutil
import signal
import time
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from pathlib import Path

from dask_bake.errors import BakeError
from dask_bake.local.machines.cgroups import hierarchies, remove_groups
from dask_bake.local.machines.nspawn import NSPAWN_FOLDERS, children, kill_tree, remove_nspawn_folder
from dask_bake.local.network.bridge import is_own_bridge, remove_bridge, remove_cable
from dask_bake.local.network.firewall import firewall_exists, remove_firewall
from dask_bake.local.pidfile import is_root_held, running_pid
from dask_bake.local.settings import RUNTIMES, Settings

SERVER_MODULE = "dask_bake.local.server"
BASE_TREE = "the making of the base tree"


@dataclass(frozen=True)
class Leftover:
    """Something that this local cloud has left on the machine, and how to remove it."""

    what: str
    remove: Callable[[], object]


def find_leftovers(settings: Settings) -> tuple[Leftover, ...]:
    """Return everything of this local cloud on the machine outside its cache, in the order of removal.

    While a server holds the root, its files and the making of its base trees are at work, not left over.
    """
    is_in_use = is_root_held(settings)
    return (
        *_processes(settings, is_root_in_use=is_in_use),
        *_interfaces(settings),
        *_firewall(settings),
        *_groups(settings),
        *_files(settings, is_root_in_use=is_in_use),
        *_nspawn_folders(settings),
    )


def _processes(settings: Settings, *, is_root_in_use: bool) -> tuple[Leftover, ...]:
    return tuple(
        Leftover(f"process {pid} ({kind})", lambda pid=pid: _end_own(pid, settings))  # type: ignore[misc]
        for pid, kind in sorted(_our_processes(settings))
        if not (is_root_in_use and kind == BASE_TREE)
    )


def _our_processes(settings: Settings) -> list[tuple[int, str]]:
    pids = (int(folder.name) for folder in Path("/proc").glob("[0-9]*"))
    found = ((pid, kind_of_process(pid, settings)) for pid in pids if pid != os.getpid())
    return [(pid, kind) for pid, kind in found if kind is not None]


def kind_of_process(pid: int, settings: Settings, *, users: Container[int] = (0,)) -> str | None:
    """Return what a process of this local cloud is; None for any other process.

    Any user can give a process the arguments of one of ours, so only those of root, or of ``users``, count.
    """
    try:
        folder = Path(f"/proc/{pid}")
        if folder.stat().st_uid not in users:
            return None
        arguments = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return None
    return name_process(arguments, settings)


def name_process(arguments: Sequence[str], settings: Settings) -> str | None:
    """Return what a process of this local cloud is, by its arguments; None for any other process."""
    for argument in arguments:
        machine = argument.removeprefix("--machine=")
        if machine != argument and is_machine(machine, settings):
            return f"machine {machine}"
        if argument == f"--dhcp-hostsfile={settings.runtime}/dhcp-hosts":
            return "dnsmasq"
        if argument.startswith(f"{settings.layers}/draft-"):
            return BASE_TREE
    return None


def is_machine(name: str, settings: Settings) -> bool:
    """Return whether a machine belongs to this local cloud, not to one with a longer name."""
    return re.fullmatch(rf"{re.escape(settings.name)}-i-[0-9a-f]+", name) is not None


def _end_own(pid: int, settings: Settings) -> None:
    """End a process, unless it has ended by now and its number is another one's."""
    if kind_of_process(pid, settings) is not None:
        _end(pid)


def _end(pid: int) -> None:
    family = _descendants(pid)
    kill_tree(pid)
    for orphan in family:
        kill_tree(orphan)
    for member in (pid, *family):
        _wait_until_gone(member)


def _descendants(pid: int) -> tuple[int, ...]:
    return tuple(member for child in children(pid) for member in (child, *_descendants(child)))


def _wait_until_gone(pid: int, timeout: float = 10) -> bool:
    deadline = time.monotonic() + timeout
    while _lives(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _interfaces(settings: Settings) -> tuple[Leftover, ...]:
    if not is_own_bridge(settings.bridge):
        return ()
    cables = tuple(
        Leftover(f"network interface {port.name}", lambda name=port.name: remove_cable(name))  # type: ignore[misc]
        for port in sorted(Path(f"/sys/class/net/{settings.bridge}/brif").glob("*"))
    )
    return (*cables, Leftover(f"network interface {settings.bridge}", lambda: remove_bridge(settings.bridge)))


def _firewall(settings: Settings) -> tuple[Leftover, ...]:
    if os.geteuid() != 0 or not shutil.which("nft") or not firewall_exists(settings.bridge):
        return ()
    return (Leftover(f"firewall rules of {settings.bridge}", lambda: remove_firewall(settings.bridge)),)


def _files(settings: Settings, *, is_root_in_use: bool) -> tuple[Leftover, ...]:
    folders = [*([] if is_root_in_use else _unfinished(settings)), settings.runtime]
    return tuple(
        Leftover(f"folder {folder}", lambda folder=folder: shutil.rmtree(folder, ignore_errors=True))  # type: ignore[misc]
        for folder in folders
        if folder.exists()
    )


def _unfinished(settings: Settings) -> list[Path]:
    try:
        return [*settings.instances.glob("i-*"), *settings.layers.glob("draft-*")]
    except PermissionError:  # only root may look; `down` and the next start do
        return []


def _groups(settings: Settings) -> tuple[Leftover, ...]:
    folders = (
        folder
        for hierarchy in hierarchies()
        for folder in hierarchy.glob(f"{settings.name}-i-*")
        if is_machine(folder.name, settings)
    )
    return tuple(
        Leftover(f"control group {folder}", lambda name=folder.name: remove_groups(name))  # type: ignore[misc]
        for folder in folders
    )


def _nspawn_folders(settings: Settings) -> tuple[Leftover, ...]:
    try:
        parents = tuple(folder for folder in NSPAWN_FOLDERS if folder.exists())
        present = [path for parent in parents for path in parent.iterdir()]
    except PermissionError:  # only root may look; `down` does
        return ()
    is_shared = other_clouds_run(settings)
    return tuple(
        Leftover(f"folder {folder}", lambda folder=folder: remove_nspawn_folder(folder))  # type: ignore[misc]
        for folder in unused_nspawn_folders(parents, present, settings, is_shared=is_shared)
    )


def unused_nspawn_folders(
    parents: Sequence[Path], present: Sequence[Path], settings: Settings, *, is_shared: bool
) -> tuple[Path, ...]:
    """Return the folders that systemd-nspawn keeps for our machines, and its own once nobody uses them.

    Args:
        parents: those of ``NSPAWN_FOLDERS`` that exist.
        present: the machines' folders in them.
        settings: those of our local cloud.
        is_shared: whether another local cloud runs: it may boot a machine at any time.
    """
    ours = tuple(path for path in present if is_machine(path.name, settings))
    if not parents or is_shared or len(ours) < len(present):
        return ours
    return (*ours, *parents, parents[0].parent)


def other_clouds_run(settings: Settings, runtimes: Path = RUNTIMES) -> bool:
    """Return whether another local cloud runs, or was killed and not removed yet."""
    return any(folder.name != settings.runtime.name for folder in runtimes.glob("dask-bake.*"))


def end_server(settings: Settings, *, timeout: float) -> None:
    """End the server that holds the pid file; kill it with its children after ``timeout`` seconds.

    No other process gets a signal: who holds the lock and what it is are checked on a handle of the process.

    Raises:
        BakeError: when something else than a server of ours holds the lock.
    """
    pid = running_pid(settings)
    if pid is None:
        return
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if not is_server(pid) or running_pid(settings) != pid:
            raise BakeError(
                f"{settings.pid_file} is locked by process {pid}, which is not the local cloud's server",
                hint=f"see ps -fp {pid}",
            )
        signal.pidfd_send_signal(handle, signal.SIGTERM)
        if not select.select([handle], [], [], timeout)[0]:
            _end(pid)
    finally:
        os.close(handle)


def is_server(pid: int) -> bool:
    """Return whether a process of this user's is the server of a local cloud."""
    process = Path(f"/proc/{pid}")
    try:
        arguments = (process / "cmdline").read_bytes().split(b"\0")
        return SERVER_MODULE.encode() in arguments and process.stat().st_uid == os.geteuid()
    except OSError:
        return False
