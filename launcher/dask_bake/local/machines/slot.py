"""Where an instance's machine is, while it has one."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from dask_bake.local.machines.nspawn import MachineSpec
from dask_bake.local.network.bridge import Network

CONSOLE_BYTES = 65536
"""GetConsoleOutput returns the last 64 KB."""


class MachineLike(Protocol):
    """A machine that is on; ``taken_apart`` is set when nothing of it is left but what it wrote."""

    taken_apart: threading.Event

    def power_off(self) -> None:
        """Ask the guest to power off, and wait."""

    def kill(self) -> None:
        """Pull the plug."""


Boot = Callable[[MachineSpec, Network, Callable[[], None]], MachineLike]
"""Boots a machine; what it is handed is called from a thread of its own when the machine has ended."""


@dataclass
class Slot:
    """An instance's machine: what it boots from, whether it is on, and what it is meant to become.

    ``lock`` is held while a machine is put in or taken out; the hypervisor's own lock guards ``goal``.
    """

    spec: MachineSpec
    layers: tuple[str, ...]
    machine: MachineLike | None = None
    goal: str = "running"
    has_run: bool = False
    gone: bool = False
    last_words: bytes = b""
    reason: tuple[str, str] | None = None
    """Why it ends, when nobody asked for that."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def console(self) -> bytes:
        """The last 64 KB that the machine printed."""
        try:
            with self.spec.console.open("rb") as file:
                file.seek(max(0, self.spec.console.stat().st_size - CONSOLE_BYTES))
                return file.read(CONSOLE_BYTES)
        except OSError:
            return self.last_words
