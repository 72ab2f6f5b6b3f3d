"""Fault rules strike with the probability and in the order that was configured."""

from dask_bake.local.faults.model import Fault, FaultKind
from dask_bake.local.faults.rules import FaultRules


def struck(rules: FaultRules, count: int) -> list[bool]:
    return [bool(rules.match("DescribeInstances", {})) for _ in range(count)]


def test_a_fault_strikes_with_its_probability_and_reproducibly_for_a_seed():
    runs = []
    for _ in range(2):
        rules = FaultRules()
        rules.add(Fault(FaultKind.ERROR, times=0, chance=0.2, seed=7))
        runs.append(struck(rules, 1000))

    assert runs[0] == runs[1]
    assert 150 < sum(runs[0]) < 250


def test_an_instance_fault_and_a_response_fault_can_strike_one_request():
    rules = FaultRules()
    for kind in (FaultKind.DELAY, FaultKind.DROP_AFTER, FaultKind.PENDING, FaultKind.HTML):
        rules.add(Fault(kind, "RunInstances"))

    kinds = [[fault.kind for fault in rules.match("RunInstances", {})] for _ in range(3)]

    assert kinds == [[FaultKind.DELAY, FaultKind.DROP_AFTER, FaultKind.PENDING], [FaultKind.HTML], []]


def test_checking_for_a_capacity_fault_does_not_count_as_a_strike():
    rules = FaultRules()
    rules.add(Fault(FaultKind.CAPACITY, "RunInstances", (("AvailabilityZone", "us-east-1a"),)))

    zones = ("us-east-1a", "us-east-1b")
    for _ in range(2):
        lacking = [rules.lacks_capacity("RunInstances", {"AvailabilityZone": zone}) for zone in zones]
        assert lacking == [True, False]
    rules.match("RunInstances", {"AvailabilityZone": "us-east-1a"})
    assert not rules.lacks_capacity("RunInstances", {"AvailabilityZone": "us-east-1a"})
