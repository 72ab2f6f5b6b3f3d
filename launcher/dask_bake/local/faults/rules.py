"""The fault rules in force, and the number of requests that each has matched and failed."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from random import Random

from dask_bake.local.faults.model import RESPONSE_FAULTS, Fault


@dataclass
class FaultRule:
    """A fault, the number of requests that it matched, and the number that it failed."""

    fault: Fault
    random: Random
    matched: int = 0
    struck: int = 0

    def is_over(self) -> bool:
        """Return whether it has failed the number of requests that it is for."""
        return 0 < self.fault.times <= self.struck

    def fires(self) -> bool:
        """Count a matching request, and return whether it is to fail."""
        if self.is_over():
            return False
        self.matched += 1
        if self.matched <= self.fault.skip or self.random.random() >= self.fault.chance:
            return False
        self.struck += 1
        return True


@dataclass
class FaultRules:
    """The rules, in the order in which they were added."""

    _rules: list[FaultRule] = field(default_factory=list)
    _numbers: Callable[[], int] = field(default_factory=lambda: count(1).__next__)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, fault: Fault) -> Fault:
        """Add a rule, and return its fault with an id."""
        with self._lock:
            fault = replace(fault, id=f"fault-{self._numbers()}")
            self._rules.append(FaultRule(fault, Random(fault.seed)))  # noqa: S311 - repeatable, not secret
        return fault

    def clear(self) -> None:
        """Remove all rules."""
        with self._lock:
            self._rules.clear()

    def all(self) -> tuple[FaultRule, ...]:
        """Return copies of the rules with their counts."""
        with self._lock:
            return tuple(replace(rule) for rule in self._rules)

    def match(self, action: str, parameters: Mapping[str, str]) -> tuple[Fault, ...]:
        """Count a request, and return its faults, of which one at most decides the response."""
        faults: list[Fault] = []
        with self._lock:
            for rule in self._rules:
                fault = rule.fault
                decided = fault.kind in RESPONSE_FAULTS and any(
                    other.kind in RESPONSE_FAULTS for other in faults
                )
                if not decided and fault.matches(action, parameters) and rule.fires():
                    faults.append(fault)
        return tuple(faults)

    def lacks_capacity(self, action: str, parameters: Mapping[str, str]) -> bool:
        """Return whether a launch with these parameters would fail for lack of capacity; counts nothing."""
        with self._lock:
            return any(
                rule.fault.limits_capacity and not rule.is_over() and rule.fault.matches(action, parameters)
                for rule in self._rules
            )
