"""Boot, stop and end the machines of instances in the background, and set the states that EC2 shows."""

import threading
from collections import deque
from collections.abc import Callable, Iterable

from dask_bake.errors import BakeError
from dask_bake.local.machines.nspawn import Machine, discard
from dask_bake.local.machines.slot import Boot, Slot, Slots
from dask_bake.local.moto.instances import Instances, Reason
from dask_bake.local.network.bridge import Network
from dask_bake.local.settings import Settings
from dask_bake.local.storage.image_store import ImageStore
from dask_bake.local.user_namespace import OFFSET

MAX_CONCURRENT_BOOTS = 4
TERMINATED_KEPT = 200
"""The number of terminated instances that are still described; EC2 shows them for about an hour."""
GUEST_SHUT_DOWN: Reason = ("Client.InstanceInitiatedShutdown", "Instance initiated shutdown")


class Hypervisor:
    """Takes instances to the state that was requested for them; ``users`` is that of ``Slots``."""

    def __init__(
        self,
        settings: Settings,
        network: Network,
        store: ImageStore,
        instances: Instances,
        *,
        boot: Boot,
        users: Callable[[str], int] = lambda _: OFFSET,
    ) -> None:
        self.slots = Slots(settings, store, users)
        self.terminated_kept = TERMINATED_KEPT
        self._network = network
        self._instances = instances
        self._boot_machine = boot
        self._boots = threading.Semaphore(MAX_CONCURRENT_BOOTS)
        self._states = threading.Lock()  # a goal and the state that EC2 shows change together
        self._terminated: deque[str] = deque()
        self._closed = False

    def run(self, instance_ids: tuple[str, ...], *, held: frozenset[str] = frozenset()) -> None:
        """Boot new instances, which are pending until their machine is on; those ``held`` stay pending."""
        with self._states:
            if self._closed:
                raise BakeError("the local cloud is being stopped")
            slots = []
            for instance_id in instance_ids:
                instance = self._instances[instance_id]
                instance.set_state("pending")
                slots.append(self.slots.add(instance))
        _each(self._boot, [slot for slot in slots if slot.instance.id not in held])

    def start(self, instance_ids: tuple[str, ...]) -> None:
        """Boot stopped instances again, with the files that they had written."""
        with self._states:
            stopped = [slot for slot in self._slots(instance_ids) if slot.goal == "stopped"]
            for slot in stopped:
                slot.goal = "running"
                slot.instance.set_state("pending")
        _each(self._boot, stopped)

    def stop(self, instance_ids: tuple[str, ...]) -> None:
        """Power instances off, each once, as a second signal would kill the machine."""
        with self._states:
            slots = self._slots(instance_ids)
            running = [slot for slot in slots if slot.goal == "running"]
            for slot in running:
                slot.goal = "stopped"
            for slot in slots:
                if slot.machine or slot in running:
                    slot.instance.set_state("stopping")
        _each(self._power_off, running)

    def reboot(self, instance_ids: tuple[str, ...]) -> None:
        """Reboot the instances that run; they stay running, as on EC2."""
        for slot in self._slots(instance_ids):
            if slot.goal == "running" and (machine := slot.machine):
                machine.reboot()

    def terminate(self, instance_ids: tuple[str, ...]) -> None:
        """Terminate instances; safe to repeat."""
        with self._states:
            living = [slot for slot in self._slots(instance_ids) if slot.goal != "terminated"]
            for slot in living:
                slot.goal = "terminated"
                slot.instance.begin_termination()
                slot.instance.set_state("shutting-down")
        _each(self._kill, living)

    def fail(self, instance_id: str, reason: Reason) -> None:
        """Terminate an instance for a reason of EC2's, unless it is being terminated already."""
        with self._states:
            slot = self.slots.get(instance_id)
            if slot is None or slot.goal == "terminated":
                return
            slot.goal = "terminated"
            slot.reason = reason
            slot.instance.begin_termination(reason)
            slot.instance.set_state("shutting-down", reason=reason)
        _each(self._kill, [slot])

    def end_all(self) -> None:
        """Kill every machine, and return when all are gone."""
        with self._states:
            self._closed = True
            slots = self.slots.all()
            for slot in slots:
                slot.goal = "terminated"
        for thread in _each(self._kill, slots):
            thread.join()

    def _slots(self, instance_ids: tuple[str, ...]) -> list[Slot]:
        return [self.slots[instance_id] for instance_id in instance_ids]

    def _boot(self, slot: Slot) -> None:
        with self._boots, slot.lock:
            if slot.goal != "running":
                return
            try:
                slot.machine = self._boot_machine(slot.spec, self._network, lambda: self._on_end(slot))
            except (BakeError, OSError) as error:
                self._give_up(slot, ("Server.InternalError", str(error)), stay=slot.has_run)
                return
            slot.has_run = True
            with self._states:
                if slot.goal == "running":
                    slot.instance.set_state("running")

    def _power_off(self, slot: Slot) -> None:
        machine = self._machine_or_settle(slot)
        if machine:
            machine.power_off()

    def _kill(self, slot: Slot) -> None:
        machine = self._machine_or_settle(slot)
        if machine:
            machine.kill()
            machine.cleaned_up.wait()

    def _machine_or_settle(self, slot: Slot) -> Machine | None:
        """Return the machine that is on; an instance without one reaches its goal at once."""
        with slot.lock:
            if slot.machine is None:
                self._settle(slot)
            return slot.machine

    def _on_end(self, slot: Slot) -> None:
        """Handle a machine that is off, because it was stopped or because its guest powers off or reboots."""
        with slot.lock:
            machine, slot.machine = slot.machine, None
            if slot.goal == "running" and machine is not None and machine.is_rebooting:
                _each(self._boot, [slot])
            elif slot.goal == "running":
                self._give_up(slot, GUEST_SHUT_DOWN, stay=not slot.instance.ends_with_guest)
            else:
                self._settle(slot)

    def _give_up(self, slot: Slot, reason: Reason, *, stay: bool) -> None:
        """Stop or terminate an instance whose machine ended although it was to run."""
        with self._states:
            if slot.goal == "running":
                slot.goal = "stopped" if stay else "terminated"
        self._settle(slot, reason=reason)

    def _settle(self, slot: Slot, *, reason: Reason | None = None) -> None:
        """Set the state of an instance whose machine is off to its goal; the caller holds the slot's lock."""
        goal, instance = slot.goal, slot.instance
        if slot.gone:
            return
        if goal == "terminated":
            slot.gone = True
            slot.console_tail = slot.console()
            discard(slot.spec)
            slot.layers = ()
            instance.begin_termination(reason or slot.reason)
        with self._states:
            if slot.goal == goal:
                instance.set_state(goal, reason=reason or slot.reason)
        if goal == "terminated":
            instance.free_addresses()
            self._remove_earlier(instance.id)

    def _remove_earlier(self, instance_id: str) -> None:
        """Remove the instances that were terminated before the latest ``terminated_kept``."""
        with self._states:
            self._terminated.append(instance_id)
            while len(self._terminated) > self.terminated_kept:
                earlier = self._terminated.popleft()
                self.slots.remove(earlier)
                self._instances.remove(earlier)


def _each(act: Callable[[Slot], None], slots: Iterable[Slot]) -> tuple[threading.Thread, ...]:
    """Start a thread for each slot."""
    threads = tuple(threading.Thread(target=act, args=(slot,), daemon=True) for slot in slots)
    for thread in threads:
        thread.start()
    return threads
