"""Addresses that may use SSH, and the changes of `allow-me`."""

from dataclasses import replace

import pytest

from dask_bake.clusters.naming import member_rule, ssh_rule
from dask_bake.clusters.ssh_access import allows_ssh_from, check_can_allow, choose_endpoint, plan_change
from dask_bake.errors import BakeError, UsageError
from dask_bake.models.cloud import Connect
from dask_bake.models.ec2 import ConnectEndpoint, Rule, SecurityGroup
from dask_bake.models.tags import Tag, Verified
from dask_bake.options.launch import LaunchOptions
from fakes import CLOUD, IMAGE, SUBNETS, FakeQueries, a_cluster, a_plan, a_target, hint_of

OLD, NEW, OFFICE = "192.0.2.7/32", "198.51.100.9/32", "203.0.113.0/24"
PROVED = replace(IMAGE, tags=(*IMAGE.tags, (Tag.VERIFIED, Verified.YES), (Tag.MANAGED, "true")))
SOMEBODY_S = Rule(OFFICE, "the office", 22)


def a_group(*rules):
    return SecurityGroup("sg-2", "dask-bake-dask/ssh", "vpc-1", rules=rules)


def a_cluster_with(*rules, **options):
    members = SecurityGroup("sg-1", "dask-bake-dask", "vpc-1", rules=(member_rule("sg-1"),))
    return replace(a_cluster(a_plan(**options)), groups=(members, a_group(*rules)))


@pytest.mark.parametrize(
    ("address", "is_in"),
    [
        (OLD, True),
        (NEW, False),
        ("203.0.113.77/32", True),
        ("2001:db8::7/128", True),
        ("2001:db9::7/128", False),
    ],
)
def test_an_address_is_allowed_by_a_rule_whose_block_contains_it(address, is_in):
    cluster = a_cluster_with(ssh_rule(OLD), SOMEBODY_S, ssh_rule("2001:db8::/56"), ssh_rule("sg-9"))

    assert allows_ssh_from(cluster, address) is is_in


def test_a_rule_for_another_port_does_not_allow_ssh():
    assert not allows_ssh_from(a_cluster_with(Rule(NEW, "web", 443)), NEW)


def test_the_caller_s_old_rule_is_replaced_and_foreign_rules_are_kept():
    change = plan_change(a_cluster_with(ssh_rule(OLD), SOMEBODY_S), [NEW])

    assert (change.group.id, change.opened, change.closed) == ("sg-2", (ssh_rule(NEW),), (ssh_rule(OLD),))


def test_an_address_that_is_allowed_already_changes_nothing():
    change = plan_change(a_cluster_with(ssh_rule(NEW)), [NEW])

    assert (change.opened, change.closed) == ((), ())


def test_an_address_that_a_foreign_rule_allows_gets_no_second_rule():
    """EC2 identifies a rule by what it allows, not by its description."""
    change = plan_change(a_cluster_with(ssh_rule(OLD), SOMEBODY_S), [OFFICE])

    assert (change.opened, change.closed) == ((), (ssh_rule(OLD),))


def test_two_notations_of_a_block_are_equal():
    change = plan_change(a_cluster_with(ssh_rule("2001:db8::/56")), ["2001:0db8:0::/56"])

    assert (change.opened, change.closed) == ((), ())


@pytest.mark.parametrize(
    "options",
    [{"connect": Connect.SSM, "iaminstance_name": "agent"}, {"connect": Connect.EICE}],
    ids=["ssm", "eice"],
)
def test_with_ssm_or_eice_allow_me_is_refused(options):
    with pytest.raises(UsageError, match="no port has to be opened for your address"):
        check_can_allow(a_cluster_with(**options), has_cidr=False)


def test_behind_a_bastion_allow_me_needs_cidr():
    cluster = a_cluster_with(connect=Connect.BASTION, bastion="jump", cidr=("10.0.0.9/32",))

    with pytest.raises(UsageError, match=r"reached through the bastion jump") as caught:
        check_can_allow(cluster, has_cidr=False)
    assert hint_of(caught.value) == "give the bastion's address or security group with --cidr"
    check_can_allow(cluster, has_cidr=True)


def test_a_cluster_without_a_security_group_for_ssh_is_an_error():
    with pytest.raises(BakeError, match="has no security group for SSH"):
        plan_change(a_cluster(), [NEW])


READY = ConnectEndpoint("eice-4", "vpc-1", "subnet-1", ("sg-8", "sg-7"))
KEEPING = ConnectEndpoint("eice-2", "vpc-1", "subnet-1", ("sg-9",), keeps_address=True)
ELSEWHERE = ConnectEndpoint("eice-1", "vpc-2", "subnet-9", ("sg-5",))
BESIDE = ConnectEndpoint("eice-3", "vpc-1", "subnet-7", ("sg-6",))


def test_an_endpoint_in_the_vpc_is_chosen_preferably_in_the_subnet():
    """The AWS CLI alone takes any endpoint, perhaps one that the head's security group does not allow."""
    everything = (ELSEWHERE, KEEPING, BESIDE, READY)

    assert choose_endpoint(everything, SUBNETS[0]) == READY
    assert choose_endpoint(everything, SUBNETS[1]) == BESIDE


@pytest.mark.parametrize(
    ("endpoints", "message"),
    [
        ((), "the VPC vpc-1 has no Instance Connect endpoint that is ready"),
        ((ELSEWHERE,), "the VPC vpc-1 has no Instance Connect endpoint that is ready"),
        ((KEEPING,), "the Instance Connect endpoint eice-2 preserves the client's address"),
    ],
)
def test_without_a_suitable_endpoint_the_hint_is_the_command_that_creates_one(endpoints, message):
    with pytest.raises(BakeError, match=message) as caught:
        choose_endpoint(endpoints, SUBNETS[0])

    command = "aws ec2 create-instance-connect-endpoint --subnet-id subnet-1 --no-preserve-client-ip"
    assert hint_of(caught.value).startswith(command)


def test_a_launch_through_an_endpoint_opens_ssh_to_the_endpoint_s_security_groups_only():
    around = looked_around(endpoints=(BESIDE, READY), connect=Connect.EICE, private=True)

    assert (around.endpoint, around.callers) == ("eice-4", ("sg-7", "sg-8"))


def test_endpoints_are_looked_up_only_for_connect_eice():
    around = looked_around(endpoints=(READY,))

    assert (around.endpoint, around.callers) == (None, ("192.0.2.7/32",))


def looked_around(*, endpoints, **options):
    there = FakeQueries(images={"self": [PROVED]}, endpoints=endpoints)
    return a_target(LaunchOptions(**options), CLOUD, there, OLD)
