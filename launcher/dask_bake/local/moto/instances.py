"""Instances: moto's class extended for machines that boot, and the instances of all regions by id."""

import copy
import time
from collections.abc import Iterable
from datetime import datetime
from typing import Any, ClassVar, TypeAlias

from dask_bake.local.moto.models import Instance, StateReason

STATE_CODES = {
    "pending": 0,
    "running": 16,
    "shutting-down": 32,
    "terminated": 48,
    "stopping": 64,
    "stopped": 80,
}
"""EC2's codes for instance states (API reference, InstanceState)."""

Reason: TypeAlias = tuple[str, str]
"""EC2's StateReason, as its code and its message."""
BY_USER: Reason = ("Client.UserInitiatedShutdown", "User initiated shutdown")


class LocalInstance(Instance):
    """moto's instance, with its faults; an instance of moto's becomes one by its ``__class__``."""

    class Meta:
        """EC2's names, which moto finds by the name of this class."""

        serialization_aliases: ClassVar = {"InstanceId": "id"}

    reservation_id: str
    client_token: str
    spot_instance_request_id: str | None
    tagged: tuple[str | None, ...]
    """The resources whose tags are removed with the instance."""
    impaired = False
    seen_from = 0.0
    cut_until = 0.0
    interruption: datetime | None = None

    @property
    def address(self) -> str:
        """The private address, which an instance has as long as its machine exists."""
        return str(self.private_ip_address)

    @property
    def is_cut(self) -> bool:
        """Whether the instance is cut off from the network."""
        return time.monotonic() < self.cut_until

    @property
    def is_hidden(self) -> bool:
        """Whether EC2's responses do not contain the instance yet."""
        return time.monotonic() < self.seen_from

    @property
    def is_spot(self) -> bool:
        """Whether it is a spot instance."""
        return bool(self.lifecycle == "spot")

    @property
    def ends_with_guest(self) -> bool:
        """Whether the instance is terminated, not stopped, when its guest powers itself off."""
        return bool(self.instance_initiated_shutdown_behavior == "terminate")

    @property
    def instance_status(self) -> dict[str, Any]:
        """The instance status check, which fails while the instance is impaired or cut off."""
        if self.state == "running" and (self.impaired or self.is_cut):
            return {"Status": "impaired", "Details": [{"Name": "reachability", "Status": "failed"}]}
        return dict(super().instance_status)

    def set_state(self, state: str, *, reason: Reason | None = None) -> None:
        """Set the state, and its reason first, as both may be read at any time."""
        if reason:
            self._set_reason(reason)
        self._state.name = state
        self._state.code = STATE_CODES[state]

    def keep_interfaces(self) -> None:
        """Let TerminateInstances keep the interfaces: an address is free when its machine is off."""
        for nic in self.nics.values():
            nic.delete_on_termination = False

    def begin_termination(self, reason: Reason | None = None) -> None:
        """Detach volumes, interfaces and profile, once; a later TerminateInstances then changes nothing.

        moto's own ``terminate`` would set the state to terminated at once.
        """
        if "terminate" in vars(self):
            return
        self.keep_interfaces()
        self._set_reason(reason or BY_USER)
        for nic in self.nics.values():
            nic.stop()
        self.teardown_defaults()
        association = self.ec2_backend.iam_instance_profile_associations.get(self.id)
        if association is not None:
            self.ec2_backend.disassociate_iam_instance_profile(association_id=association.association_id)
        vars(self)["terminate"] = lambda: copy.copy(self._state)

    def free_addresses(self) -> None:
        """Delete the interfaces of a terminated instance, so that its addresses are available again."""
        for nic in self.nics.values():
            self.ec2_backend.enis.pop(nic.id, None)
            self.ec2_backend.tags.pop(nic.id, None)
            nic.subnet.del_subnet_ip(nic.private_ip_address)
        self._private_ips.clear()  # else moto frees them again, when other instances have them

    def _set_reason(self, reason: Reason) -> None:
        code, message = reason
        self.state_reason = StateReason(f"{code}: {message}", code)


class Instances:
    """The instances of every region, by id."""

    def __init__(self) -> None:
        self._by_id: dict[str, LocalInstance] = {}

    def add(self, instances: Iterable[LocalInstance]) -> None:
        """Add new instances."""
        self._by_id |= {instance.id: instance for instance in instances}

    def remove(self, instance_id: str) -> None:
        """Remove a terminated instance, also from its reservation, with its tags."""
        instance = self._by_id.pop(instance_id, None)
        if instance is None:
            return
        backend = instance.ec2_backend
        reservation = backend.reservations[instance.reservation_id]
        reservation.instances = [other for other in reservation.instances if other is not instance]
        if not reservation.instances:
            backend.reservations.pop(reservation.id)
        for resource_id in instance.tagged:
            backend.tags.pop(resource_id, None)

    def __getitem__(self, instance_id: str) -> LocalInstance:
        return self._by_id[instance_id]

    def all(self) -> tuple[LocalInstance, ...]:
        """Return every instance."""
        return tuple(self._by_id.values())

    def get(self, instance_id: str) -> LocalInstance | None:
        """Return the instance with that id, or None."""
        return self._by_id.get(instance_id)

    def state(self, instance_id: str) -> str | None:
        """Return the state of the instance, or None where there is no such instance."""
        instance = self.get(instance_id)
        return str(instance.state) if instance else None

    def hidden(self) -> frozenset[str]:
        """Return the ids of the instances that EC2's responses do not contain yet."""
        return frozenset(instance.id for instance in self.all() if instance.is_hidden)
