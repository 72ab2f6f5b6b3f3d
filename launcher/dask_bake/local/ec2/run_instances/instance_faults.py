"""Faults applied to instances: stuck pending, terminated, unreachable, spot-interrupted, failing checks."""

import math
import threading
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

from dask_bake.local.faults.model import Fault, FaultKind
from dask_bake.local.machines.hypervisor import Hypervisor
from dask_bake.local.moto.instances import Instances, Reason

SPOT_REASON: Reason = ("Server.SpotInstanceTermination", "Instance terminated due to a Spot interruption")
REASONS = {
    "Client.InternalError": "Client error on launch",
    "Client.InvalidSnapshot.NotFound": "The specified snapshot was not found",
    "Client.VolumeLimitExceeded": "Volume limit exceeded",
    "Server.InsufficientInstanceCapacity": "Insufficient capacity to satisfy instance request",
    "Server.InternalError": "Internal error on launch",
    SPOT_REASON[0]: SPOT_REASON[1],
}
"""Messages of EC2's state reasons (API reference, StateReason)."""
DEFAULT_REASON = "The instance was terminated by a fault rule of the local cloud"


class InstanceFaults:
    """Faults of instances, applied at once or after a delay."""

    def __init__(
        self, instances: Instances, hypervisor: Hypervisor, update_firewall: Callable[[], None] = lambda: None
    ) -> None:
        self._instances = instances
        self._hypervisor = hypervisor
        self._update_firewall = update_firewall
        self._timers: set[threading.Timer] = set()
        self._lock = threading.Lock()

    def affected(self, instance_ids: tuple[str, ...], fault: Fault) -> tuple[str, ...]:
        """Return the instances of a launch that get the fault: the last ``count`` eligible ones, or all."""
        eligible = tuple(each for each in instance_ids if self.is_applicable(each, fault))
        return eligible[-fault.count :] if fault.count else eligible

    def is_applicable(self, instance_id: str, fault: Fault) -> bool:
        """Return whether the fault can apply: only spot instances get an interruption notice."""
        instance = self._instances.get(instance_id)
        return fault.kind is not FaultKind.SPOT_NOTICE or (instance is not None and instance.is_spot)

    def kept_pending(self, instance_ids: tuple[str, ...], faults: Iterable[Fault]) -> frozenset[str]:
        """Return the new instances whose machines must not boot."""
        return frozenset(
            instance_id
            for fault in faults
            if fault.kind is FaultKind.PENDING or (fault.kind is FaultKind.TERMINATED and not fault.seconds)
            for instance_id in self.affected(instance_ids, fault)
        )

    def apply_before_boot(self, instance_ids: tuple[str, ...], faults: Iterable[Fault]) -> None:
        """Apply the faults that new instances have from the start."""
        for fault in faults:
            for instance_id in self.affected(instance_ids, fault):
                match fault.kind:
                    case FaultKind.UNHEALTHY:
                        self._impair(instance_id)
                    case FaultKind.UNSEEN:
                        self._hide(instance_id, fault.seconds)
                    case FaultKind.CUT:
                        self._cut(instance_id, fault.seconds)

    def apply_after_boot(self, instance_ids: tuple[str, ...], faults: Iterable[Fault]) -> None:
        """Apply the other faults of new instances, after they have begun to boot."""
        for fault in faults:
            for instance_id in self.affected(instance_ids, fault):
                if fault.kind not in (FaultKind.UNHEALTHY, FaultKind.CUT):
                    self.apply(instance_id, fault)

    def is_living(self, instance_id: str) -> bool:
        """Return whether the instance exists and is neither shutting down nor terminated."""
        return self._instances.state(instance_id) not in (None, "terminated", "shutting-down")

    def apply(self, instance_id: str, fault: Fault) -> None:
        """Apply a fault to a running instance."""
        match fault.kind:
            case FaultKind.UNHEALTHY:
                self._impair(instance_id)
            case FaultKind.TERMINATED:
                self._after(fault.seconds, lambda: self._hypervisor.fail(instance_id, _reason(fault)))
            case FaultKind.SPOT_NOTICE:
                self._after(fault.seconds, lambda: self._give_notice(instance_id, fault.notice))
            case FaultKind.CUT:
                self._cut(instance_id, fault.seconds)

    def reconnect_all(self) -> None:
        """Reconnect all instances that are cut off from the network."""
        for instance in self._instances.all():
            instance.cut_until = 0.0
        self._update_firewall()

    def cancel(self) -> None:
        """Cancel the faults that are delayed."""
        with self._lock:
            for timer in self._timers:
                timer.cancel()
            self._timers.clear()

    def _impair(self, instance_id: str) -> None:
        instance = self._instances.get(instance_id)
        if instance is not None:
            instance.impaired = True

    def _hide(self, instance_id: str, seconds: float) -> None:
        """Omit the instance from responses for some seconds, because EC2 is eventually consistent."""
        instance = self._instances.get(instance_id)
        if instance is not None:
            instance.seen_from = time.monotonic() + seconds

    def _give_notice(self, instance_id: str, notice: float) -> None:
        instance = self._instances.get(instance_id)
        if instance is not None:
            instance.interruption = datetime.now(UTC) + timedelta(seconds=notice)
        self._after(notice, lambda: self._hypervisor.fail(instance_id, SPOT_REASON))

    def _cut(self, instance_id: str, seconds: float) -> None:
        instance = self._instances.get(instance_id)
        if instance is not None:
            instance.cut_until = max(instance.cut_until, time.monotonic() + (seconds or math.inf))
        self._update_firewall()
        if seconds:
            self._after(seconds, self._update_firewall)

    def _after(self, seconds: float, act: Callable[[], None]) -> None:
        if not seconds:
            act()
            return
        timer = threading.Timer(seconds, act)
        timer.daemon = True
        with self._lock:
            self._timers = {other for other in self._timers if other.is_alive()}
            self._timers.add(timer)
            timer.start()


def _reason(fault: Fault) -> Reason:
    code = fault.code or "Server.InternalError"
    return code, fault.message or REASONS.get(code, DEFAULT_REASON)
