"""The fault rules that are in force, and how often each has struck."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from random import Random

from dask_bake.local.faults.model import ENDINGS, Fault


@dataclass
class Rule:
    """A fault, how many requests it was for, and how many it struck."""

    fault: Fault
    random: Random
    matched: int = 0
    struck: int = 0

    def is_over(self) -> bool:
        """Whether it has struck as often as it is to."""
        return 0 < self.fault.times <= self.struck

    def strikes(self) -> bool:
        """Whether it strikes a request that it is for; counts it."""
        if self.is_over():
            return False
        self.matched += 1
        if self.matched <= self.fault.skip or self.random.random() >= self.fault.chance:
            return False
        self.struck += 1
        return True


@dataclass
class FaultRules:
    """Rules in the order in which they were added."""

    _rules: list[Rule] = field(default_factory=list)
    _numbers: Callable[[], int] = field(default_factory=lambda: count(1).__next__)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, fault: Fault) -> Fault:
        """Put a rule in force; the same with its id."""
        with self._lock:
            fault = replace(fault, id=f"fault-{self._numbers()}")
            self._rules.append(Rule(fault, Random(fault.seed)))  # noqa: S311 - to be repeated, not to be secret
        return fault

    def clear(self) -> None:
        """Take all rules out of force."""
        with self._lock:
            self._rules.clear()

    def all(self) -> tuple[Rule, ...]:
        """The rules, as they stand."""
        with self._lock:
            return tuple(replace(rule) for rule in self._rules)

    def strike(self, action: str, parameters: Mapping[str, str]) -> tuple[Fault, ...]:
        """What goes wrong with a request: at most one thing that decides its answer."""
        struck: list[Fault] = []
        with self._lock:
            for rule in self._rules:
                fault = rule.fault
                decided = fault.kind in ENDINGS and any(other.kind in ENDINGS for other in struck)
                if not decided and fault.is_for(action, parameters) and rule.strikes():
                    struck.append(fault)
        return tuple(struck)

    def lacks_capacity(self, action: str, parameters: Mapping[str, str]) -> bool:
        """Whether a launch like that would now find too few instances; nothing is counted."""
        with self._lock:
            return any(
                rule.fault.refuses_for_capacity
                and not rule.is_over()
                and rule.fault.is_for(action, parameters)
                for rule in self._rules
            )
