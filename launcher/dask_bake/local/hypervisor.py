"""Which instance is which machine: boots, stops, snapshots and ends them, and tells EC2's state of each."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from dask_bake.errors import BakeError
from dask_bake.local.machines import Machine, MachineSpec, boot, discard
from dask_bake.local.moto_ec2 import MotoEc2
from dask_bake.local.network import Network
from dask_bake.local.settings import Settings
from dask_bake.local.store import ImageStore

BOOTS_AT_ONCE = 4
CONSOLE_BYTES = 65536
"""GetConsoleOutput returns the last 64 KB."""


@dataclass
class Slot:
    """An instance's machine: what it boots from, whether it is on, and what it is meant to become."""

    spec: MachineSpec
    layers: tuple[str, ...]
    machine: Machine | None = None
    goal: str = "running"
    last_words: bytes = b""
    lock: threading.Lock = field(default_factory=threading.Lock)


class Hypervisor:
    """Carries out what EC2 was asked for."""

    def __init__(self, settings: Settings, network: Network, store: ImageStore, ec2: MotoEc2) -> None:
        self._settings = settings
        self._network = network
        self._store = store
        self._ec2 = ec2
        self._slots: dict[str, Slot] = {}
        self._pool = ThreadPoolExecutor(BOOTS_AT_ONCE, thread_name_prefix="boot")

    def run(self, instance_ids: tuple[str, ...]) -> None:
        """Boot new instances, in the background; they are pending until their machine is on."""
        for instance_id in instance_ids:
            self._ec2.set_state(instance_id, "pending")
            self._slots[instance_id] = self._new_slot(instance_id)
        for instance_id in instance_ids:
            self._pool.submit(self._boot, instance_id)

    def start(self, instance_ids: tuple[str, ...]) -> None:
        """Boot stopped instances again, with what they had written."""
        for instance_id in instance_ids:
            self._slots[instance_id].goal = "running"
            self._ec2.set_state(instance_id, "pending")
            self._pool.submit(self._boot, instance_id)

    def stop(self, instance_ids: tuple[str, ...]) -> None:
        """Power instances off, in the background."""
        for instance_id in instance_ids:
            self._ec2.set_state(instance_id, "stopping")
            self._slots[instance_id].goal = "stopped"
            threading.Thread(target=self._power_off, args=(instance_id,), daemon=True).start()

    def terminate(self, instance_ids: tuple[str, ...]) -> None:
        """End instances, in the background; safe to repeat."""
        for instance_id in instance_ids:
            self._ec2.end(instance_id)
            if instance_id in self._slots:
                self._ec2.set_state(instance_id, "shutting-down")
                self._slots[instance_id].goal = "terminated"
                threading.Thread(target=self._kill, args=(instance_id,), daemon=True).start()

    def snapshot(self, instance_id: str, image_id: str) -> tuple[str, ...]:
        """The layers of an image of a stopped instance: what it wrote becomes a read-only layer, and it goes on above.

        Raises:
            BakeError: when the instance is on; its tree could be caught half-written.
        """
        slot = self._slots[instance_id]
        with slot.lock:
            if slot.machine:
                raise BakeError(f"The instance {instance_id} is not stopped.")
            layer = f"layer-{image_id.removeprefix('ami-')}"
            slot.spec.upper.rename(self._store.layer(layer))
            slot.layers = (*slot.layers, layer)
            slot.spec = replace(slot.spec, layers=self._paths(slot.layers))
            return slot.layers

    def console(self, instance_id: str) -> bytes:
        """The last 64 KB that the instance printed to its console."""
        slot = self._slots.get(instance_id)
        return _tail(slot.spec.console) or slot.last_words if slot else b""

    def is_off(self, instance_id: str) -> bool:
        """Whether the instance has no machine that is on."""
        slot = self._slots.get(instance_id)
        return slot is None or slot.machine is None

    def machines_on(self) -> int:
        """How many machines are on."""
        return sum(slot.machine is not None for slot in self._slots.values())

    def layers_in_use(self) -> frozenset[str]:
        """The layers that an instance stands on."""
        return frozenset(layer for slot in self._slots.values() for layer in slot.layers)

    def end_all(self) -> None:
        """Pull every plug, and return when every machine has gone."""
        self._pool.shutdown(cancel_futures=True)
        for slot in self._slots.values():
            slot.goal = "terminated"
        ending = [threading.Thread(target=self._kill, args=(instance_id,)) for instance_id in self._slots]
        for thread in ending:
            thread.start()
        for thread in ending:
            thread.join()

    def _new_slot(self, instance_id: str) -> Slot:
        instance = self._ec2.instance(instance_id)
        assert instance is not None  # noqa: S101 - moto has just made it
        image = self._store.get(instance.image_id)
        layers = image.layers if image else ()
        spec = MachineSpec(
            name=f"{self._settings.name}-{instance_id}",
            directory=self._settings.instances / instance_id,
            layers=self._paths(layers),
            address=instance.private_ip_address,
        )
        return Slot(spec, layers)

    def _paths(self, layers: tuple[str, ...]) -> tuple[Path, ...]:
        return tuple(self._store.layer(layer) for layer in layers)

    def _boot(self, instance_id: str) -> None:
        slot = self._slots[instance_id]
        with slot.lock:
            if slot.goal != "running":
                return
            try:
                slot.machine = boot(slot.spec, self._network, lambda _: self._ended(instance_id))
            except BakeError as error:
                self._ec2.set_state(instance_id, "terminated", reason=("Server.InternalError", error.message))
                return
        self._ec2.set_state(instance_id, "running")

    def _power_off(self, instance_id: str) -> None:
        machine = self._slots[instance_id].machine
        if machine:
            machine.power_off()
        else:
            self._settle(instance_id)

    def _kill(self, instance_id: str) -> None:
        slot = self._slots[instance_id]
        with slot.lock:
            machine = slot.machine
        if machine:
            machine.kill()
            machine.taken_apart.wait()
        else:
            self._settle(instance_id)

    def _ended(self, instance_id: str) -> None:
        """The machine is off: because it was told to, or because the guest powered itself off."""
        slot = self._slots[instance_id]
        slot.machine = None
        if slot.goal == "running":
            instance = self._ec2.instance(instance_id)
            behaviour = instance.instance_initiated_shutdown_behavior if instance else "terminate"
            slot.goal = "terminated" if behaviour == "terminate" else "stopped"
            reason = ("Client.InstanceInitiatedShutdown", "Instance initiated shutdown")
            self._settle(instance_id, reason=reason)
        else:
            self._settle(instance_id)

    def _settle(self, instance_id: str, *, reason: tuple[str, str] | None = None) -> None:
        slot = self._slots[instance_id]
        if slot.goal == "terminated":
            slot.last_words = _tail(slot.spec.console)
            discard(slot.spec)
            slot.layers = ()
        self._ec2.set_state(instance_id, slot.goal, reason=reason)


def _tail(console: Path) -> bytes:
    return console.read_bytes()[-CONSOLE_BYTES:] if console.exists() else b""
