"""Faults: the requests that one is for, and the error that it gives."""

import pytest

from dask_bake.local.faults.model import METADATA, NO_CAPACITY, Fault, FaultKind

REQUEST = {"InstanceType": "m5.large", "TagSpecification.1.Tag.1.Value": "worker"}


@pytest.mark.parametrize(
    ("action", "where", "matches"),
    [
        ("RunInstances", (), True),
        ("Run*", (("InstanceType", "m5.*"),), True),
        ("*", (("InstanceType", "m6i.*"),), False),
        ("RunInstances", (("TagSpecification.*.Value", "worker"),), True),
        ("RunInstances", (("InstanceType", "m5.*"), ("TagSpecification.*.Value", "head")), False),
        ("RunInstances", (("SubnetId", "*"),), False),
        ("runinstances", (), False),
    ],
)
def test_a_fault_is_for_requests_whose_action_and_parameters_all_match(action, where, matches):
    assert Fault(FaultKind.ERROR, action, where).matches("RunInstances", REQUEST) is matches


@pytest.mark.parametrize(("action", "matches"), [("*", False), ("Meta*", False), (METADATA, True)])
def test_metadata_requests_match_no_pattern(action, matches):
    assert Fault(FaultKind.ERROR, action).matches(METADATA, {}) is matches


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault(FaultKind.ERROR), ("InternalError", 500, "An internal error has occurred")),
        (
            Fault(FaultKind.ERROR, code="Blocked", status=418, message="Not now."),
            ("Blocked", 418, "Not now."),
        ),
        (
            Fault(FaultKind.ERROR, code="Unheard"),
            ("Unheard", 400, "The request was refused by a rule of the local cloud."),
        ),
    ],
)
def test_an_error_has_ec2_s_status_and_message_unless_the_fault_has_others(fault, error):
    assert fault.error() == error


def test_capacity_is_lacking_by_its_kind_or_by_its_code():
    kinds = [Fault(FaultKind.CAPACITY), Fault(FaultKind.ERROR, code=NO_CAPACITY), Fault(FaultKind.ERROR)]

    assert [fault.limits_capacity for fault in kinds] == [True, True, False]
