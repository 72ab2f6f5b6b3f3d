"""No call of the EC2 API keeps later calls from changing the firewall: what does not load is taken back."""

from contextlib import suppress

import pytest
from botocore.exceptions import ClientError

from dask_bake.errors import BakeError
from fake_local_cloud import refusal

SSH = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "10.9.0.1/32"}]}
WEB = {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "IpRanges": [{"CidrIp": "10.9.0.1/32"}]}


@pytest.fixture
def group(cloud):
    """A group with one rule and one member."""
    group_id = cloud.ec2.create_security_group(GroupName="one", Description="x")["GroupId"]
    cloud.ec2.authorize_security_group_ingress(GroupId=group_id, IpPermissions=[SSH])
    cloud.run(SecurityGroupIds=[group_id])
    return group_id


def rules(cloud, group):
    described = cloud.ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]
    return described["IpPermissions"], described["IpPermissionsEgress"]


def rule_id(cloud, group):
    filters = [{"Name": "group-id", "Values": [group]}]
    found = cloud.ec2.describe_security_group_rules(Filters=filters)["SecurityGroupRules"]
    return next(rule["SecurityGroupRuleId"] for rule in found if not rule["IsEgress"])


@pytest.mark.parametrize(
    ("protocol", "first", "last", "block"),
    [
        ("icmp", 300, -1, "0.0.0.0/0"),
        ("tcp", 9, 1, "0.0.0.0/0"),
        ("tcp", 0, 65536, "0.0.0.0/0"),
        ("carp", 1, 1, "0.0.0.0/0"),
        ("tcp", 1, 1, "10.0.0.0/40"),
    ],
)
def test_a_rule_that_exists_is_changed_by_the_same_checks(cloud, group, protocol, first, last, block):
    before = rules(cloud, group)
    change = {"IpProtocol": protocol, "FromPort": first, "ToPort": last, "CidrIpv4": block}
    wanted = [{"SecurityGroupRuleId": rule_id(cloud, group), "SecurityGroupRule": change}]

    modify = cloud.ec2.modify_security_group_rules
    assert refusal(modify, GroupId=group, SecurityGroupRules=wanted) == "InvalidParameterValue"
    assert rules(cloud, group) == before


@pytest.mark.parametrize("action", ["authorize", "modify", "revoke"])
def test_a_rule_that_nft_refuses_is_refused_and_changes_nothing(cloud, group, monkeypatch, action):
    """Whatever our own checks let through: rules and firewall are as before, and the next call works."""
    before, update = rules(cloud, group), cloud.api._update_firewall

    def refuse():
        raise BakeError("nft failed")

    monkeypatch.setattr(cloud.api, "_update_firewall", refuse)
    changed = {"IpProtocol": "tcp", "FromPort": 1, "ToPort": 1, "CidrIpv4": "10.0.0.0/8"}
    call, parameters = {
        "authorize": (cloud.ec2.authorize_security_group_ingress, {"IpPermissions": [WEB]}),
        "revoke": (cloud.ec2.revoke_security_group_ingress, {"IpPermissions": [SSH]}),
        "modify": (
            cloud.ec2.modify_security_group_rules,
            {
                "SecurityGroupRules": [
                    {"SecurityGroupRuleId": rule_id(cloud, group), "SecurityGroupRule": changed}
                ]
            },
        ),
    }[action]
    assert refusal(call, GroupId=group, **parameters) == "InvalidParameterValue"
    assert rules(cloud, group) == before

    monkeypatch.setattr(cloud.api, "_update_firewall", update)
    loaded = len(cloud.firewall)
    cloud.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[WEB])
    assert len(cloud.firewall) == loaded + 1
    assert "tcp dport 80 accept" in cloud.firewall[-1]


@pytest.mark.parametrize("address", ["hello", "10.9.0.300", "1.2.3.4", "::1", "10.9.0.9; flush ruleset"])
def test_an_interface_with_any_address_does_not_stop_the_firewall(cloud, group, address):
    """It may be refused when it is made or attached; a later rule is loaded in any case."""
    subnet = cloud.ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    instance = cloud.run(SecurityGroupIds=[group])[0]["InstanceId"]
    with suppress(ClientError):
        made = cloud.ec2.create_network_interface(SubnetId=subnet, Groups=[group], PrivateIpAddress=address)
        interface = made["NetworkInterface"]["NetworkInterfaceId"]
        cloud.ec2.attach_network_interface(NetworkInterfaceId=interface, InstanceId=instance, DeviceIndex=1)
    with suppress(ClientError):
        cloud.run(SecurityGroupIds=[group], PrivateIpAddress=address)

    cloud.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[WEB])

    assert "tcp dport 80 accept" in cloud.firewall[-1]
    assert "flush" not in cloud.firewall[-1]
