"""Which instance is which machine: boots, stops, snapshots and ends them, and tells EC2's state of each."""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from dask_bake.errors import BakeError
from dask_bake.local.machines.nspawn import MachineSpec, discard
from dask_bake.local.machines.slot import Boot, MachineLike, Slot
from dask_bake.local.moto.ec2 import MotoEc2, Reason
from dask_bake.local.network.bridge import Network
from dask_bake.local.settings import Settings
from dask_bake.local.storage.image_store import ImageStore

BOOTS_AT_ONCE = 4
TERMINATED_KEPT = 200
"""So many terminated instances are seen, the latest; EC2 shows them for about an hour."""
GUEST_SHUT_DOWN = ("Client.InstanceInitiatedShutdown", "Instance initiated shutdown")


class Hypervisor:
    """Carries out what EC2 was asked for."""

    def __init__(
        self, settings: Settings, network: Network, store: ImageStore, ec2: MotoEc2, *, boot: Boot
    ) -> None:
        self._settings = settings
        self._network = network
        self._store = store
        self._ec2 = ec2
        self._boot_machine = boot
        self._slots: dict[str, Slot] = {}
        self._boots = threading.Semaphore(BOOTS_AT_ONCE)
        self._states = threading.Lock()  # a goal and the state that EC2 tells change together
        self._terminated: deque[str] = deque()
        self.terminated_kept = TERMINATED_KEPT
        self._closed = False

    def run(self, instance_ids: tuple[str, ...], *, held: frozenset[str] = frozenset()) -> None:
        """Boot new instances, in the background; they are pending until their machine is on."""
        with self._states:
            if self._closed:
                raise BakeError("The local cloud is being taken down.")
            for instance_id in instance_ids:
                self._ec2.set_state(instance_id, "pending")
                self._slots[instance_id] = self._new_slot(instance_id)
        self._each(self._boot, tuple(name for name in instance_ids if name not in held))

    def start(self, instance_ids: tuple[str, ...]) -> None:
        """Boot stopped instances again, with what they had written."""
        with self._states:
            stopped = tuple(name for name in instance_ids if self._slots[name].goal == "stopped")
            for instance_id in stopped:
                self._slots[instance_id].goal = "running"
                self._ec2.set_state(instance_id, "pending")
        self._each(self._boot, stopped)

    def stop(self, instance_ids: tuple[str, ...]) -> None:
        """Power instances off, in the background; each is asked once, as a second time pulls the plug."""
        with self._states:
            running = tuple(name for name in instance_ids if self._slots[name].goal == "running")
            for instance_id in running:
                self._slots[instance_id].goal = "stopped"
            for instance_id in instance_ids:
                if self._slots[instance_id].machine or instance_id in running:
                    self._ec2.set_state(instance_id, "stopping")
        self._each(self._power_off, running)

    def terminate(self, instance_ids: tuple[str, ...]) -> None:
        """End instances, in the background; safe to repeat."""
        with self._states:
            living = tuple(name for name in instance_ids if self._slots[name].goal != "terminated")
            for instance_id in living:
                self._slots[instance_id].goal = "terminated"
                self._ec2.end(instance_id)
                self._ec2.set_state(instance_id, "shutting-down")
        self._each(self._kill, living)

    def fail(self, instance_id: str, reason: Reason) -> None:
        """End an instance that nobody asked to end, in the background; one that is ending goes on to."""
        with self._states:
            slot = self._slots.get(instance_id)
            if slot is None or slot.goal == "terminated":
                return
            slot.goal = "terminated"
            slot.reason = reason
            self._ec2.end(instance_id, reason)
            self._ec2.set_state(instance_id, "shutting-down", reason=reason)
        self._each(self._kill, (instance_id,))

    def snapshot(self, instance_id: str, image_id: str) -> tuple[str, ...]:
        """The layers of an image of a stopped instance: what it wrote is now read-only, and it goes on above.

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
        return slot.console() if slot else b""

    def machines_on(self) -> int:
        """How many machines are on."""
        return sum(slot.machine is not None for slot in tuple(self._slots.values()))

    def layers_in_use(self) -> frozenset[str]:
        """The layers that an instance stands on."""
        return frozenset(layer for slot in tuple(self._slots.values()) for layer in slot.layers)

    def end_all(self) -> None:
        """Pull every plug, and return when every machine has gone."""
        with self._states:
            self._closed = True
            for slot in self._slots.values():
                slot.goal = "terminated"
        for thread in self._each(self._kill, tuple(self._slots)):
            thread.join()

    def _each(
        self, act: Callable[[str], None], instance_ids: tuple[str, ...]
    ) -> tuple[threading.Thread, ...]:
        threads = tuple(threading.Thread(target=act, args=(name,), daemon=True) for name in instance_ids)
        for thread in threads:
            thread.start()
        return threads

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
        with self._boots, slot.lock:
            if slot.goal != "running":
                return
            try:
                slot.machine = self._boot_machine(slot.spec, self._network, lambda: self._ended(instance_id))
            except (BakeError, OSError) as error:
                self._give_up(instance_id, ("Server.InternalError", str(error)), stay=slot.has_run)
                return
            slot.has_run = True
            with self._states:
                if slot.goal == "running":
                    self._ec2.set_state(instance_id, "running")

    def _power_off(self, instance_id: str) -> None:
        machine = self._machine_or_settle(instance_id)
        if machine:
            machine.power_off()

    def _kill(self, instance_id: str) -> None:
        machine = self._machine_or_settle(instance_id)
        if machine:
            machine.kill()
            machine.taken_apart.wait()

    def _machine_or_settle(self, instance_id: str) -> MachineLike | None:
        """The machine that is on; an instance that has none is at its goal at once."""
        slot = self._slots.get(instance_id)
        if slot is None:  # it has gone, and been forgotten
            return None
        with slot.lock:
            if slot.machine is None:
                self._settle(instance_id)
            return slot.machine

    def _ended(self, instance_id: str) -> None:
        """The machine is off: because it was told to, or because the guest powered itself off."""
        slot = self._slots[instance_id]
        with slot.lock:
            slot.machine = None
            if slot.goal == "running":
                self._give_up(instance_id, GUEST_SHUT_DOWN, stay=not self._ec2.ends_with_guest(instance_id))
            else:
                self._settle(instance_id)

    def _give_up(self, instance_id: str, reason: Reason, *, stay: bool) -> None:
        """An instance that was to run does not: it is stopped if it may stay, and terminated if not."""
        slot = self._slots[instance_id]
        with self._states:
            if slot.goal == "running":
                slot.goal = "stopped" if stay else "terminated"
        self._settle(instance_id, reason=reason)

    def _settle(self, instance_id: str, *, reason: Reason | None = None) -> None:
        """An instance whose machine is off is at its goal; called with its slot's lock held."""
        slot = self._slots[instance_id]
        goal = slot.goal
        if slot.gone:
            return
        if goal == "terminated":
            slot.gone = True
            slot.last_words = slot.console()
            discard(slot.spec)
            slot.layers = ()
            self._ec2.end(instance_id, reason or slot.reason)
        with self._states:
            if slot.goal == goal:
                self._ec2.set_state(instance_id, goal, reason=reason or slot.reason)
        if goal == "terminated":
            self._ec2.free_addresses(instance_id)
            self._forget_earlier(instance_id)

    def _forget_earlier(self, instance_id: str) -> None:
        with self._states:
            self._terminated.append(instance_id)
            while len(self._terminated) > self.terminated_kept:
                earlier = self._terminated.popleft()
                self._slots.pop(earlier, None)
                self._ec2.forget(earlier)
