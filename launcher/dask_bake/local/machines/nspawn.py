"""One machine: a systemd-nspawn container that boots from read-only layers with a writable one on top."""

import os
import resource
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import NAMESPACE_DNS, uuid5

from dask_bake.errors import BakeError
from dask_bake.local.machines.cgroups import in_groups, make_groups, remove_groups
from dask_bake.local.machines.mapped_mount import mapped
from dask_bake.local.network.bridge import Network, cable_name, make_cable, remove_cable
from dask_bake.local.storage.ownership import give_to_root, is_shifted
from dask_bake.local.user_namespace import COUNT, OFFSET
from dask_bake.system.subprocesses import attempt, run, start

NSPAWN_FOLDERS = tuple(Path("/run/systemd/nspawn") / name for name in ("propagate", "unix-export"))
"""Folders in which nspawn makes a folder for each machine, which remains when nspawn is killed.

nspawn 257 has both, and mounts a tmpfs on the machine's folder in the second one; 252 has the first one.
"""

DROPPED_CAPABILITIES = tuple(
    f"CAP_{name}"
    for name in (
        "AUDIT_CONTROL",
        "AUDIT_WRITE",
        "IPC_OWNER",
        "LEASE",
        "LINUX_IMMUTABLE",
        "MKNOD",
        "SYS_NICE",
        "SYS_RESOURCE",
        "SYS_TTY_CONFIG",
    )
)
"""Capabilities that nspawn leaves to root in a machine, and no node needs."""

OPEN_FILES = 1048576
"""Hard limit of open files, which Dask's units want; root in a user namespace cannot raise it."""
INOTIFY_INSTANCES = 1024
"""Limit of the host's root, for which the inotify instances of all machines count, about nine of each."""
INOTIFY_LIMIT = Path("/proc/sys/fs/inotify/max_user_instances")

SIGRTMIN_PLUS_4, SIGRTMIN_PLUS_5 = signal.SIGRTMIN + 4, signal.SIGRTMIN + 5
"""Power off, and reboot, a container whose init is systemd (systemd(1), Signals)."""
REBOOT = 133
"""The exit code with which nspawn, under ``--keep-unit``, asks to be started again."""


@dataclass(frozen=True)
class MachineSpec:
    """The specification of a machine.

    ``layers`` are read-only trees, the lowest first. ``users`` is the host's user that is the machine's root.
    """

    name: str
    directory: Path
    layers: tuple[Path, ...]
    address: str
    users: int = OFFSET

    @property
    def shared(self) -> Path:
        """The folder of the layers."""
        return Path(os.path.commonpath([layer.parent for layer in self.layers]))

    @property
    def host_end(self) -> str:
        """Name of the veth interface on the bridge."""
        return cable_name(self.name)

    @property
    def guest_end(self) -> str:
        """Name of the interface in the machine, like EC2's; Linux allows 15 characters."""
        return "ens" + self.name[-12:]

    @property
    def hypervisor(self) -> Path:
        """The machine's /sys/hypervisor, whose UUID begins with ``ec2``, as on EC2's Xen."""
        return self.directory / "hypervisor"

    @property
    def console(self) -> Path:
        """The console's output."""
        return self.directory / "console.log"

    @property
    def upper(self) -> Path:
        """The writable layer."""
        return self.directory / "upper"

    @property
    def root(self) -> Path:
        """The mount point of the layers in the server's mount namespace."""
        return self.directory / "root"


def mount_command(spec: MachineSpec, layers: Path, own: Path) -> list[str]:
    """Return the command that mounts a machine's layers as one tree.

    Args:
        layers: path of ``spec.shared`` from the machine's folder. It is relative, as mount(8) accepts 256
            characters at most.
        own: path of the machine's folder itself.
    """
    lower = ":".join(str(layers / path.relative_to(spec.shared)) for path in reversed(spec.layers))
    options = f"lowerdir={lower},upperdir={own / 'upper'},workdir={own / 'work'}"
    mount = ["mount", "-t", "overlay", "overlay", "-o", options, str(spec.root)]
    return ["env", f"--chdir={spec.directory}", *mount]


def boot_command(spec: MachineSpec) -> list[str]:
    """Return the command that boots a machine and ends when it has powered off."""
    return [
        "systemd-nspawn",
        "--quiet",
        "--boot",
        f"--machine={spec.name}",
        f"--directory={spec.root}",
        f"--network-interface={spec.guest_end}",
        f"--bind-ro={spec.hypervisor}:/sys/hypervisor",
        f"--kill-signal={SIGRTMIN_PLUS_4}",
        f"--private-users={spec.users}:{COUNT}",
        "--private-users-ownership=off",  # the tree has these owners already
        f"--drop-capability={','.join(DROPPED_CAPABILITIES)}",
        f"--rlimit=RLIMIT_NOFILE=1024:{OPEN_FILES}",
        "--register=no",
        "--keep-unit",
        "--settings=no",
        "--link-journal=no",
        "--resolv-conf=off",
        "--timezone=off",
    ]


def raise_limits(inotify: Path = INOTIFY_LIMIT) -> None:
    """Raise the limits that machines share with this process, where they are lower and this is permitted."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, max(hard, OPEN_FILES)))
    with suppress(OSError):
        if int(inotify.read_text()) < INOTIFY_INSTANCES:
            inotify.write_text(str(INOTIFY_INSTANCES))


class Machine:
    """A booted machine. It ends by ``power_off``, by ``kill``, or when its guest powers off."""

    def __init__(self, spec: MachineSpec, process: "subprocess.Popen[str]") -> None:
        self.spec = spec
        self.cleaned_up = threading.Event()
        self._process = process

    def power_off(self, timeout: float = 60) -> None:
        """Power the guest off and wait; kill the machine after ``timeout`` seconds."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()

    def reboot(self) -> None:
        """Ask the guest to reboot; the machine then ends, and ``is_rebooting``."""
        for init in children(self._process.pid) if self._process.poll() is None else ():
            with suppress(ProcessLookupError):
                os.kill(init, SIGRTMIN_PLUS_5)

    @property
    def is_rebooting(self) -> bool:
        """Return whether the machine has ended because its guest reboots."""
        return self._process.poll() == REBOOT

    def kill(self) -> None:
        """Kill the machine; ``cleaned_up`` is set when only its files are left."""
        if self._process.poll() is None:  # a reused pid would be another program's
            kill_tree(self._process.pid)
        self._process.wait()

    def wait(self) -> int:
        """Wait until the machine has ended, and return nspawn's exit code."""
        return self._process.wait()


def boot(spec: MachineSpec, network: Network, on_end: Callable[[], None]) -> Machine:
    """Boot a machine; ``on_end`` is called from a thread of its own when it has ended and is cleaned up.

    Raises:
        BakeError, OSError: when it cannot be booted; it is cleaned up then.
    """
    try:
        machine = Machine(spec, _start(spec, network))
    except (BakeError, OSError):
        clean_up(spec)
        raise
    threading.Thread(target=_watch, args=(machine, on_end), daemon=True).start()
    return machine


def _start(spec: MachineSpec, network: Network) -> "subprocess.Popen[str]":
    for folder in (spec.upper, spec.directory / "work", spec.root, spec.hypervisor):
        folder.mkdir(parents=True, exist_ok=True)
    if not is_shifted(spec.upper):
        give_to_root(spec.upper)
    _mount(spec)
    (spec.hypervisor / "uuid").write_text(f"ec2{uuid5(NAMESPACE_DNS, spec.name)}"[:36] + "\n")
    make_cable(network, host_end=spec.host_end, guest_end=spec.guest_end, address=spec.address)
    with spec.console.open("ab") as console:
        return start(
            in_groups(make_groups(spec.name), boot_command(spec)),
            stdout=console,
            stderr=console,
            environ={"PATH": os.environ.get("PATH", os.defpath), "SYSTEMD_NSPAWN_LOCK": "0"},
        )


def _mount(spec: MachineSpec) -> None:
    if spec.users == OFFSET:
        run(mount_command(spec, Path(os.path.relpath(spec.shared, spec.directory)), Path()))
        return
    layers, own = spec.directory / "ro", spec.directory / "rw"
    # Two mounts, as layers and machines may be on different file systems. overlayfs keeps them for itself.
    with mapped(spec.shared, layers, spec.users), mapped(spec.directory, own, spec.users):
        run(mount_command(spec, Path(layers.name), Path(own.name)))


def _watch(machine: Machine, on_end: Callable[[], None]) -> None:
    machine.wait()
    try:
        clean_up(machine.spec)
        on_end()
    finally:
        machine.cleaned_up.set()


def clean_up(spec: MachineSpec) -> None:
    """Unmount an ended machine's tree, and remove its interface and groups; its files stay."""
    attempt(["umount", str(spec.root)])
    remove_cable(spec.host_end)
    remove_groups(spec.name)
    for folder in NSPAWN_FOLDERS:
        remove_nspawn_folder(folder / spec.name)


def remove_nspawn_folder(folder: Path) -> None:
    """Remove a folder of ``NSPAWN_FOLDERS``, or of a machine in one, unless something is in it."""
    if folder.is_mount():
        attempt(["umount", str(folder)])
    with suppress(OSError):
        folder.rmdir()


def discard(spec: MachineSpec) -> None:
    """Remove a machine's files."""
    shutil.rmtree(spec.directory, ignore_errors=True)


def kill_tree(pid: int) -> None:
    """Kill an nspawn and its container; with the container's init the kernel kills its other processes."""
    for victim in (*children(pid), pid):
        try:
            os.kill(victim, signal.SIGKILL)
        except ProcessLookupError:
            continue


def children(pid: int) -> tuple[int, ...]:
    """Return the living child processes of a process."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ()
    return tuple(int(child) for child in text.split())
