"""Machines: systemd-nspawn containers that boot from a stack of read-only layers, a writable one on top."""

import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import NAMESPACE_DNS, uuid5

from dask_bake.errors import BakeError
from dask_bake.local.machines.cgroups import make_groups, remove_groups, within
from dask_bake.local.network.bridge import Network, cable_name, make_cable, remove_cable
from dask_bake.system.subprocesses import attempt, run, start

PROPAGATION = Path("/run/systemd/nspawn/propagate")
"""Where nspawn makes a folder for each machine, and leaves it when it is killed."""

SIGRTMIN_PLUS_4 = signal.SIGRTMIN + 4
"""What systemd as init understands as "power off" (systemd(1), Signals)."""


@dataclass(frozen=True)
class MachineSpec:
    """What it takes to boot a machine. ``layers`` are read-only trees, the lowest first."""

    name: str
    directory: Path
    layers: tuple[Path, ...]
    address: str

    @property
    def host_end(self) -> str:
        """The cable's end on the bridge."""
        return cable_name(self.name)

    @property
    def guest_end(self) -> str:
        """The cable's end in the machine, named like EC2's; Linux allows 15 characters."""
        return "ens" + self.name[-12:]

    @property
    def hypervisor(self) -> Path:
        """What the machine sees as /sys/hypervisor: a UUID that begins with ``ec2``, as on EC2's Xen."""
        return self.directory / "hypervisor"

    @property
    def console(self) -> Path:
        """Everything that the machine printed to its console."""
        return self.directory / "console.log"

    @property
    def upper(self) -> Path:
        """What this machine wrote."""
        return self.directory / "upper"

    @property
    def root(self) -> Path:
        """Where the stack is mounted, as seen by the server."""
        return self.directory / "root"


def mount_command(spec: MachineSpec) -> list[str]:
    """The command that mounts a machine's layers as one tree."""
    lower = ":".join(str(layer) for layer in reversed(spec.layers))
    options = f"lowerdir={lower},upperdir={spec.upper},workdir={spec.directory / 'work'}"
    return ["mount", "-t", "overlay", "overlay", "-o", options, str(spec.root)]


def boot_command(spec: MachineSpec) -> list[str]:
    """The command that boots a machine and ends when it has powered off."""
    return [
        "systemd-nspawn",
        "--quiet",
        "--boot",
        f"--machine={spec.name}",
        f"--directory={spec.root}",
        f"--network-interface={spec.guest_end}",
        f"--bind-ro={spec.hypervisor}:/sys/hypervisor",
        f"--kill-signal={SIGRTMIN_PLUS_4}",
        "--drop-capability=CAP_MKNOD",  # nspawn has made its devices; more would be the host's disks
        "--register=no",
        "--keep-unit",
        "--settings=no",
        "--link-journal=no",
        "--resolv-conf=off",
        "--timezone=off",
    ]


class Machine:
    """A machine that was booted. Ends by itself (the guest powered off), by ``power_off`` or by ``kill``."""

    def __init__(self, spec: MachineSpec, process: "subprocess.Popen[str]") -> None:
        self.spec = spec
        self.taken_apart = threading.Event()
        self._process = process

    def power_off(self, timeout: float = 60) -> None:
        """Ask the guest to power off, and wait; after the time-out in seconds, pull the plug."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """Pull the plug; ``taken_apart`` is set when nothing of the machine is left but what it wrote."""
        if self._process.poll() is None:  # a number that was given back may be a stranger's by now
            kill_tree(self._process.pid)
        self._process.wait()

    def wait(self) -> int:
        """Wait until the machine has ended."""
        return self._process.wait()


def boot(spec: MachineSpec, network: Network, on_end: Callable[[], None]) -> Machine:
    """Boot a machine; ``on_end`` is called from a thread of its own when it has ended, and was taken apart.

    Raises:
        BakeError, OSError: when it cannot be booted; it is taken apart then.
    """
    try:
        machine = Machine(spec, _start(spec, network))
    except (BakeError, OSError):
        take_apart(spec)
        raise
    threading.Thread(target=_watch, args=(machine, on_end), daemon=True).start()
    return machine


def _start(spec: MachineSpec, network: Network) -> "subprocess.Popen[str]":
    for folder in (spec.upper, spec.directory / "work", spec.root, spec.hypervisor):
        folder.mkdir(parents=True, exist_ok=True)
    run(mount_command(spec))
    (spec.hypervisor / "uuid").write_text(f"ec2{uuid5(NAMESPACE_DNS, spec.name)}"[:36] + "\n")
    make_cable(network, host_end=spec.host_end, guest_end=spec.guest_end, address=spec.address)
    with spec.console.open("ab") as console:
        return start(
            within(make_groups(spec.name), boot_command(spec)),
            stdout=console,
            stderr=console,
            environ={"PATH": os.environ.get("PATH", os.defpath), "SYSTEMD_NSPAWN_LOCK": "0"},
        )


def _watch(machine: Machine, on_end: Callable[[], None]) -> None:
    machine.wait()
    try:
        take_apart(machine.spec)
        on_end()
    finally:
        machine.taken_apart.set()


def take_apart(spec: MachineSpec) -> None:
    """Unmount an ended machine's tree and remove its cable; what it wrote stays."""
    attempt(["umount", str(spec.root)])
    remove_cable(spec.host_end)
    remove_groups(spec.name)
    attempt(["rmdir", str(PROPAGATION / spec.name)])


def discard(spec: MachineSpec) -> None:
    """Remove everything that a machine wrote."""
    shutil.rmtree(spec.directory, ignore_errors=True)


def kill_tree(pid: int) -> None:
    """Kill an nspawn and its container: with the container's init, the kernel ends all that is in it."""
    for victim in (*children(pid), pid):
        try:
            os.kill(victim, signal.SIGKILL)
        except ProcessLookupError:
            continue


def children(pid: int) -> tuple[int, ...]:
    """The processes that a process started, and that live."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ()
    return tuple(int(child) for child in text.split())
