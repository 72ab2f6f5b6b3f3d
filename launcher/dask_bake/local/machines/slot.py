"""Slots: the machine of each instance, while it has one, and what it boots from."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

from dask_bake.errors import BakeError
from dask_bake.local.machines.nspawn import Machine, MachineSpec
from dask_bake.local.moto.instances import LocalInstance, Reason
from dask_bake.local.network.bridge import Network
from dask_bake.local.settings import Settings
from dask_bake.local.storage.image_store import ImageStore

CONSOLE_BYTES = 65536
"""GetConsoleOutput returns the last 64 KB."""

Boot: TypeAlias = Callable[[MachineSpec, Network, Callable[[], None]], Machine]
"""Boots a machine; its last argument is called from a thread of its own when the machine has ended."""


@dataclass(eq=False)
class Slot:
    """An instance with its machine and the state requested for it.

    ``lock`` is held while a machine is put in or taken out; the hypervisor's own lock guards ``goal``.
    """

    instance: LocalInstance
    spec: MachineSpec
    layers: tuple[str, ...]
    machine: Machine | None = None
    goal: str = "running"
    has_run: bool = False
    gone: bool = False
    console_tail: bytes = b""
    """The console of a terminated instance, whose files are gone."""
    reason: Reason | None = None
    """The reason for the instance's end, if no user requested it."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def console(self) -> bytes:
        """Return the last 64 KB that the machine printed."""
        try:
            with self.spec.console.open("rb") as file:
                file.seek(max(0, self.spec.console.stat().st_size - CONSOLE_BYTES))
                return file.read(CONSOLE_BYTES)
        except OSError:
            return self.console_tail


class Slots:
    """The slots of all instances, by instance id.

    Args:
        users: returns the host's user that is root of the instance with an address.
    """

    def __init__(self, settings: Settings, store: ImageStore, users: Callable[[str], int]) -> None:
        self._settings = settings
        self._store = store
        self._users = users
        self._by_id: dict[str, Slot] = {}

    def __getitem__(self, instance_id: str) -> Slot:
        return self._by_id[instance_id]

    def get(self, instance_id: str) -> Slot | None:
        """Return the slot of an instance; None where there is none any more."""
        return self._by_id.get(instance_id)

    def all(self) -> tuple[Slot, ...]:
        """Return every slot."""
        return tuple(self._by_id.values())

    def add(self, instance: LocalInstance) -> Slot:
        """Make the slot of a new instance, whose machine is to boot from the instance's image."""
        image = self._store.get(instance.image_id)
        layers = image.layers if image else ()
        spec = MachineSpec(
            name=f"{self._settings.name}-{instance.id}",
            directory=self._settings.instances / instance.id,
            layers=self._paths(layers),
            address=instance.address,
            users=self._users(instance.address),
        )
        self._by_id[instance.id] = Slot(instance, spec, layers)
        return self._by_id[instance.id]

    def remove(self, instance_id: str) -> None:
        """Remove the slot of a terminated instance."""
        self._by_id.pop(instance_id, None)

    def snapshot(self, instance_id: str, image_id: str) -> tuple[str, ...]:
        """Turn what a stopped instance wrote into a read-only layer, and return the layers of its image.

        Raises:
            BakeError: when the instance is on; its tree could be caught half-written.
        """
        slot = self[instance_id]
        with slot.lock:
            if slot.machine:
                raise BakeError(f"the instance {instance_id} is not stopped")
            layer = f"layer-{image_id.removeprefix('ami-')}"
            slot.spec.upper.rename(self._store.layer(layer))
            slot.layers = (*slot.layers, layer)
            slot.spec = replace(slot.spec, layers=self._paths(slot.layers))
            return slot.layers

    def console(self, instance_id: str) -> bytes:
        """Return the last 64 KB that the instance printed to its console."""
        slot = self.get(instance_id)
        return slot.console() if slot else b""

    def machines_on(self) -> int:
        """Return the number of machines that are on."""
        return sum(slot.machine is not None for slot in self.all())

    def layers_in_use(self) -> frozenset[str]:
        """Return the layers that instances are based on."""
        return frozenset(layer for slot in self.all() for layer in slot.layers)

    def _paths(self, layers: tuple[str, ...]) -> tuple[Path, ...]:
        return tuple(self._store.layer(layer) for layer in layers)
