"""The local cloud's zones and subnets behave as EC2's, although there is one bridge."""

import pytest

from fake_local_cloud import refusal

ZONES = ["us-east-1a", "us-east-1b", "us-east-1c"]


def subnets(ec2) -> list[dict]:
    return sorted(ec2.describe_subnets()["Subnets"], key=lambda subnet: subnet["AvailabilityZone"])


def subnet_in(cloud, zone: str) -> dict:
    return next(subnet for subnet in subnets(cloud.ec2) if subnet["AvailabilityZone"] == zone)


def test_a_region_has_a_default_subnet_in_each_of_its_zones(cloud):
    found = subnets(cloud.ec2)
    zones = cloud.ec2.describe_availability_zones()["AvailabilityZones"]

    assert [zone["ZoneName"] for zone in zones] == ZONES
    assert [(subnet["AvailabilityZone"], subnet["CidrBlock"]) for subnet in found] == [
        ("us-east-1a", "10.9.0.0/22"),
        ("us-east-1b", "10.9.4.0/22"),
        ("us-east-1c", "10.9.8.0/22"),
    ]
    assert {(subnet["DefaultForAz"], subnet["MapPublicIpOnLaunch"]) for subnet in found} == {(True, False)}
    assert {subnet["AvailableIpAddressCount"] for subnet in found} == {1024 - 5}


def test_a_region_that_has_two_zones_on_ec2_has_two(cloud):
    assert len(subnets(cloud.client("ec2", "us-west-1"))) == 2


@pytest.mark.parametrize("wording", ["subnet", "interface", "zone"])
def test_an_instance_is_in_the_requested_zone_however_it_is_specified(cloud, wording):
    subnet = subnet_in(cloud, "us-east-1b")["SubnetId"]
    parameters = {
        "subnet": {"SubnetId": subnet},
        "interface": {"NetworkInterfaces": [{"DeviceIndex": 0, "SubnetId": subnet}]},
        "zone": {"Placement": {"AvailabilityZone": "us-east-1b"}},
    }[wording]

    instance = cloud.run(**parameters)[0]

    assert (
        instance["Placement"]["AvailabilityZone"],
        instance["SubnetId"],
        instance["PrivateIpAddress"],
    ) == (
        "us-east-1b",
        subnet,
        "10.9.4.4",
    )


def test_by_default_an_instance_is_in_the_first_zone_that_has_its_type(cloud):
    assert cloud.run()[0]["Placement"]["AvailabilityZone"] == "us-east-1a"
    offers = cloud.ec2.describe_instance_type_offerings(
        LocationType="availability-zone", Filters=[{"Name": "instance-type", "Values": ["p4de.24xlarge"]}]
    )["InstanceTypeOfferings"]
    zones = sorted(offer["Location"] for offer in offers)
    assert zones
    assert zones[0] != "us-east-1a"

    assert cloud.run(InstanceType="p4de.24xlarge")[0]["Placement"]["AvailabilityZone"] == zones[0]


def test_offerings_are_found_by_patterns(cloud):
    offers = cloud.ec2.describe_instance_type_offerings(
        LocationType="availability-zone",
        Filters=[{"Name": "instance-type", "Values": ["m6i.2x*", "t3.nan?"]}],
    )["InstanceTypeOfferings"]

    assert {each["InstanceType"] for each in offers} == {"m6i.2xlarge", "t3.nano"}


def test_offerings_name_existing_zones(cloud):
    offers = cloud.ec2.describe_instance_type_offerings(
        LocationType="availability-zone", Filters=[{"Name": "instance-type", "Values": ["t3.micro"]}]
    )["InstanceTypeOfferings"]

    assert sorted(offer["Location"] for offer in offers) == ZONES


def test_a_type_that_the_zone_lacks_is_refused_with_the_zones_that_have_it(cloud):
    placement = {"AvailabilityZone": "us-east-1a"}

    with pytest.raises(cloud.ec2.exceptions.ClientError) as caught:
        cloud.run(InstanceType="p4de.24xlarge", Placement=placement)

    error = caught.value.response["Error"]
    assert error["Code"] == "Unsupported"
    assert error["Message"].startswith(
        "Your requested instance type (p4de.24xlarge) is not supported in your requested Availability Zone "
        "(us-east-1a). Please retry your request by not specifying an Availability Zone or choosing us-east-1"
    )


def test_free_addresses_are_counted_per_subnet_over_all_regions(cloud):
    cloud.run(MinCount=3, MaxCount=3)
    cloud.run(cloud.client("ec2", "eu-west-1"))

    counts = [subnet["AvailableIpAddressCount"] for subnet in subnets(cloud.ec2)]

    assert counts == [1019 - 4, 1019, 1019]


def test_instances_of_two_regions_have_different_addresses(cloud):
    here, there = cloud.run()[0], cloud.run(cloud.client("ec2", "eu-west-1"))[0]

    assert (here["PrivateIpAddress"], there["PrivateIpAddress"]) == ("10.9.0.4", "10.9.0.5")


def test_a_full_zone_does_not_affect_the_others(serve):
    with serve("10.9.0.0/26") as cloud:
        zone = {"Placement": {"AvailabilityZone": "us-east-1a"}}
        assert len(cloud.run(MinCount=1, MaxCount=40, **zone)) == 11
        assert refusal(cloud.run, **zone) == "InsufficientFreeAddressesInSubnet"

        assert len(cloud.run(MinCount=11, MaxCount=11, Placement={"AvailabilityZone": "us-east-1c"})) == 11


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"SubnetId": "subnet-0fffffffffffffff0"}, "InvalidSubnetID.NotFound"),
        ({"Placement": {"AvailabilityZone": "eu-west-1a"}}, "InvalidParameterValue"),
        ({"Placement": {"AvailabilityZone": "us-east-1f"}}, "InvalidParameterValue"),
        ({"Placement": {"Tenancy": "dedicated"}}, "UnsupportedOperation"),
    ],
)
def test_unknown_placements_are_refused(cloud, parameters, code):
    assert refusal(cloud.run, **parameters) == code


def test_a_subnet_outside_the_requested_zone_is_refused(cloud):
    subnet = subnet_in(cloud, "us-east-1b")["SubnetId"]
    zone = {"AvailabilityZone": "us-east-1c"}

    assert refusal(cloud.run, SubnetId=subnet, Placement=zone) == "InvalidParameterValue"


def test_a_new_subnet_of_the_default_vpc_can_be_launched_in(cloud):
    vpc = cloud.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    made = cloud.ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.12.0/24", AvailabilityZone="us-east-1b")[
        "Subnet"
    ]

    instance = cloud.run(SubnetId=made["SubnetId"])[0]

    assert (instance["PrivateIpAddress"], instance["Placement"]["AvailabilityZone"]) == (
        "10.9.12.4",
        "us-east-1b",
    )


def test_a_vpc_outside_the_local_network_is_refused(cloud):
    vpc = cloud.ec2.create_vpc(CidrBlock="10.77.0.0/16")["Vpc"]["VpcId"]
    subnet = cloud.ec2.create_subnet(VpcId=vpc, CidrBlock="10.77.1.0/24")["Subnet"]["SubnetId"]

    assert refusal(cloud.run, SubnetId=subnet) == "UnsupportedOperation"
