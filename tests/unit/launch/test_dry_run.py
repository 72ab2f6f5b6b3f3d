"""Permissions of a launch, checked by dry-run requests."""

import pytest

from dask_bake.errors import BakeError
from dask_bake.launch.dry_run import NOT_ASKED, NOT_CERTAIN, Permission, ask_permissions, check_permissions
from fakes import FakeQueries, a_plan, in_a_group


def test_each_call_is_a_dry_run_without_resources_that_do_not_exist_yet():
    ec2 = FakeQueries()

    answers = ask_permissions(a_plan(), ec2)

    assert answers == (
        Permission("CreateSecurityGroup", "its group", True),
        Permission("AuthorizeSecurityGroupIngress", "its group", None, NOT_ASKED),
        Permission("RunInstances", "the head", True),
        Permission("RunInstances", "the workers", True),
    )
    runs = [request for operation, request in ec2.requests if operation == "RunInstances"]
    assert sorted(request["MaxCount"] for request in runs) == [1, 2]
    for request in runs:
        assert "ClientToken" not in request
        assert "Groups" not in request["NetworkInterfaces"][0]
        assert request["NetworkInterfaces"][0]["SubnetId"] == "subnet-1"


def test_the_import_of_a_key_pair_is_a_dry_run_too():
    ec2 = FakeQueries()

    answers = ask_permissions(a_plan(provision=False, nprocs=1), ec2)

    assert Permission("ImportKeyPair", "its key", True) in answers
    assert all("KeyName" not in request for name, request in ec2.requests if name == "RunInstances")


def test_denied_calls_are_named_and_unclear_responses_are_accepted():
    denied = ask_permissions(in_a_group(a_plan()), FakeQueries(denied=("RunInstances",)))
    with pytest.raises(BakeError) as caught:
        check_permissions(denied)

    assert caught.value.message == (
        "these AWS credentials may not call ec2:RunInstances for the head, ec2:RunInstances for the workers"
    )
    assert caught.value.exit_code == 1
    unclear = ask_permissions(a_plan(), FakeQueries(broken=("RunInstances",)))
    assert unclear[2].why == "RunInstances failed: no such thing (InvalidParameterValue)"
    check_permissions(unclear)


def test_a_refusal_for_the_vpc_s_default_security_group_is_not_certain():
    """In the cluster's own security groups, which do not exist yet, it may be permitted."""
    answers = ask_permissions(a_plan(), FakeQueries(denied=("RunInstances",)))

    assert answers[2:] == (
        Permission("RunInstances", "the head", None, NOT_CERTAIN),
        Permission("RunInstances", "the workers", None, NOT_CERTAIN),
    )
    check_permissions(answers)
    with pytest.raises(BakeError, match=r"may not call ec2:CreateSecurityGroup for its group$"):
        check_permissions(
            ask_permissions(a_plan(), FakeQueries(denied=("CreateSecurityGroup", "RunInstances")))
        )
