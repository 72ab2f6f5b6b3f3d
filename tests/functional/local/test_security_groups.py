"""Security groups of the local cloud: membership, and the firewall's rules."""

from ipaddress import IPv4Address, IPv4Network

import pytest

from dask_bake.local.moto.firewall_sync import FirewallSync
from dask_bake.local.moto.security_groups import read_groups
from dask_bake.local.network.security_groups import Group, IngressRule
from fake_local_cloud import refusal

SSH = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "10.9.0.1/32"}]}


def make_group(cloud, name):
    return cloud.ec2.create_security_group(GroupName=name, Description=name)["GroupId"]


def read(cloud):
    return {group.id: group for group in read_groups(cloud.moto.instances.all())}


def groups_of(cloud, instance):
    """Return the groups of the instance and of its interface."""
    seen = cloud.describe(instance)
    of_instance = [sorted(group["GroupId"] for group in seen["SecurityGroups"])]
    return [
        *of_instance,
        *(sorted(group["GroupId"] for group in nic["Groups"]) for nic in seen["NetworkInterfaces"]),
    ]


def test_an_instance_without_a_group_is_in_the_default_group_which_allows_its_members(cloud):
    instance = cloud.run()[0]
    (group,) = read(cloud).values()

    assert group.rules == (IngressRule("-1", group.id),)
    assert group.members == (IPv4Address(instance["PrivateIpAddress"]),)


def test_an_authorized_rule_is_described_until_revoked(cloud):
    group_id, other = make_group(cloud, "one"), make_group(cloud, "other")
    instance = cloud.run(SecurityGroupIds=[group_id])[0]
    permissions = [
        SSH,
        {"IpProtocol": "-1", "UserIdGroupPairs": [{"GroupId": other}]},
        {"IpProtocol": "udp", "FromPort": 1, "ToPort": 9, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]},
        {"IpProtocol": "icmp", "FromPort": 8, "ToPort": -1, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]},
        {"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "Ipv6Ranges": [{"CidrIpv6": "::/0"}]},
    ]
    cloud.ec2.authorize_security_group_ingress(GroupId=group_id, IpPermissions=permissions)
    authorized = read(cloud)[group_id]
    cloud.ec2.revoke_security_group_ingress(GroupId=group_id, IpPermissions=[SSH])
    revoked = read(cloud)[group_id]

    rules = (
        IngressRule("tcp", IPv4Network("10.9.0.1/32"), 22, 22),
        IngressRule("-1", other),
        IngressRule("udp", IPv4Network("0.0.0.0/0"), 1, 9),
        IngressRule("icmp", IPv4Network("10.0.0.0/8"), 8, -1),
    )
    members = (IPv4Address(instance["PrivateIpAddress"]),)
    assert authorized == Group(group_id, rules, members)
    assert revoked == Group(group_id, rules[1:], members)


def test_a_terminated_instance_is_no_member_of_a_group(cloud):
    group_id = make_group(cloud, "one")
    stays, goes = cloud.run(SecurityGroupIds=[group_id], MinCount=2, MaxCount=2)
    cloud.until(goes, "running")
    cloud.terminate(goes)
    cloud.until(goes, "terminated")

    assert read(cloud)[group_id].members == (IPv4Address(stays["PrivateIpAddress"]),)


@pytest.mark.parametrize("by_interface", [False, True])
def test_changed_groups_replace_those_of_the_launch(cloud, by_interface):
    """The groups of an instance and of its interface are the same."""
    first, second = make_group(cloud, "first"), make_group(cloud, "second")
    instance = cloud.run(SecurityGroupIds=[first])[0]
    nic = cloud.describe(instance)["NetworkInterfaces"][0]["NetworkInterfaceId"]
    if by_interface:
        cloud.ec2.modify_network_interface_attribute(NetworkInterfaceId=nic, Groups=[second])
    else:
        cloud.ec2.modify_instance_attribute(InstanceId=instance["InstanceId"], Groups=[second])

    assert groups_of(cloud, instance) == [[second], [second]]
    assert [*read(cloud)] == [second]


def test_each_change_loads_the_firewall_once(cloud):
    loaded = []
    firewall_sync = FirewallSync("bridge", cloud.moto.instances.all, load=loaded.append)
    counts = []
    group_id = make_group(cloud, "one")
    cloud.run(SecurityGroupIds=[group_id])
    for change in (
        lambda: None,
        lambda: None,
        lambda: cloud.ec2.authorize_security_group_ingress(GroupId=group_id, IpPermissions=[SSH]),
        lambda: cloud.ec2.revoke_security_group_ingress(GroupId=group_id, IpPermissions=[SSH]),
        lambda: cloud.run(SecurityGroupIds=[group_id]),
    ):
        change()
        firewall_sync.update()
        counts.append(len(loaded))

    assert counts == [1, 1, 2, 3, 4]
    assert loaded[0] == loaded[2]
    assert "ip saddr 10.9.0.1/32 tcp dport 22 accept" in loaded[1]


def test_firewall_rules_that_failed_to_load_are_loaded_again(cloud):
    loaded = []

    def load(rules):
        loaded.append(rules)
        if len(loaded) == 1:
            raise RuntimeError("no nft")

    firewall_sync = FirewallSync("bridge", cloud.moto.instances.all, load=load)
    with pytest.raises(RuntimeError):
        firewall_sync.update()
    firewall_sync.update()
    firewall_sync.update()

    assert len(loaded) == 2


def test_a_group_in_use_by_a_detached_interface_cannot_be_deleted(cloud):
    group = cloud.ec2.create_security_group(GroupName="held", Description="x")["GroupId"]
    subnet = cloud.ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    interface = cloud.ec2.create_network_interface(SubnetId=subnet, Groups=[group])["NetworkInterface"]

    assert refusal(cloud.ec2.delete_security_group, GroupId=group) == "DependencyViolation"
    cloud.ec2.delete_network_interface(NetworkInterfaceId=interface["NetworkInterfaceId"])
    cloud.ec2.delete_security_group(GroupId=group)
