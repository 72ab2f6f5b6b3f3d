"""What becomes of instances by fault rules: they stay pending, end, are cut off, told to end, never well."""

import math
import threading
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

from dask_bake.local.faults.model import Fault, Kind
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
"""EC2's reasons for an instance's state (API reference, StateReason)."""


class Fates:
    """Carries out, on instances, the faults that struck them."""

    def __init__(
        self, instances: Instances, hypervisor: Hypervisor, follow: Callable[[], None] = lambda: None
    ) -> None:
        self._instances = instances
        self._hypervisor = hypervisor
        self._follow = follow
        self._timers: set[threading.Timer] = set()
        self._lock = threading.Lock()

    def struck(self, instance_ids: tuple[str, ...], fault: Fault) -> tuple[str, ...]:
        """Which instances of a launch the fault is for: so many, the last ones, or all that can meet it."""
        able = tuple(each for each in instance_ids if self.can_meet(each, fault))
        return able[-fault.count :] if fault.count else able

    def can_meet(self, instance_id: str, fault: Fault) -> bool:
        """Whether that can happen to the instance: only a spot instance is given notice."""
        instance = self._instances.get(instance_id)
        return fault.kind is not Kind.SPOT_NOTICE or (instance is not None and instance.is_spot)

    def held(self, instance_ids: tuple[str, ...], faults: Iterable[Fault]) -> frozenset[str]:
        """The new instances whose machines are not to boot."""
        return frozenset(
            instance_id
            for fault in faults
            if fault.kind is Kind.PENDING or (fault.kind is Kind.TERMINATED and not fault.seconds)
            for instance_id in self.struck(instance_ids, fault)
        )

    def prepare(self, instance_ids: tuple[str, ...], faults: Iterable[Fault]) -> None:
        """Before new instances boot: what is wrong with them from the start."""
        for fault in faults:
            for instance_id in self.struck(instance_ids, fault):
                match fault.kind:
                    case Kind.UNHEALTHY:
                        self._impair(instance_id)
                    case Kind.UNSEEN:
                        self._hide(instance_id, fault.seconds)
                    case Kind.CUT:
                        self._cut(instance_id, fault.seconds)

    def begin(self, instance_ids: tuple[str, ...], faults: Iterable[Fault]) -> None:
        """After new instances began to boot: what happens to them later."""
        for fault in faults:
            for instance_id in self.struck(instance_ids, fault):
                if fault.kind not in (Kind.UNHEALTHY, Kind.CUT):
                    self.meet(instance_id, fault)

    def knows(self, instance_id: str) -> bool:
        """Whether there is such an instance, and it has not ended."""
        return self._instances.state(instance_id) not in (None, "terminated", "shutting-down")

    def meet(self, instance_id: str, fault: Fault) -> None:
        """What happens to an instance that is there."""
        match fault.kind:
            case Kind.UNHEALTHY:
                self._impair(instance_id)
            case Kind.TERMINATED:
                self._later(fault.seconds, lambda: self._hypervisor.fail(instance_id, _reason(fault)))
            case Kind.SPOT_NOTICE:
                self._later(fault.seconds, lambda: self._give_notice(instance_id, fault.notice))
            case Kind.CUT:
                self._cut(instance_id, fault.seconds)

    def join_all(self) -> None:
        """Whoever is cut off is so no more."""
        for instance in self._instances.all():
            instance.cut_until = 0.0
        self._follow()

    def end(self) -> None:
        """Nothing happens any more."""
        with self._lock:
            for timer in self._timers:
                timer.cancel()
            self._timers.clear()

    def _impair(self, instance_id: str) -> None:
        instance = self._instances.get(instance_id)
        if instance is not None:
            instance.impaired = True

    def _hide(self, instance_id: str, seconds: float) -> None:
        """Leave the instance out of EC2's responses, as they may be older than a launch."""
        instance = self._instances.get(instance_id)
        if instance is not None:
            instance.seen_from = time.monotonic() + seconds

    def _give_notice(self, instance_id: str, notice: float) -> None:
        instance = self._instances.get(instance_id)
        if instance is not None:
            instance.interruption = datetime.now(UTC) + timedelta(seconds=notice)
        self._later(notice, lambda: self._hypervisor.fail(instance_id, SPOT_REASON))

    def _cut(self, instance_id: str, seconds: float) -> None:
        instance = self._instances.get(instance_id)
        if instance is not None:
            instance.cut_until = max(instance.cut_until, time.monotonic() + (seconds or math.inf))
        self._follow()
        if seconds:
            self._later(seconds, self._follow)

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
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
    return code, fault.message or REASONS.get(code, "The instance was ended by a rule of the local cloud")
