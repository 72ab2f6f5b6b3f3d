"""Placement groups and Instance Connect endpoints, which moto lacks, behave as EC2's."""

import pytest

from fake_local_cloud import refusal

TAGS = [{"Key": "owner", "Value": "dask & co"}]


def tagged(kind: str) -> dict:
    return {"TagSpecifications": [{"ResourceType": kind, "Tags": TAGS}]}


def test_a_placement_group_is_described_with_tags_until_deleted(cloud):
    made = cloud.ec2.create_placement_group(
        GroupName="tight", Strategy="cluster", **tagged("placement-group")
    )["PlacementGroup"]

    described = cloud.ec2.describe_placement_groups(GroupNames=["tight"])["PlacementGroups"]
    assert described == [made]
    assert (made["GroupName"], made["Strategy"], made["State"], made["Tags"]) == (
        "tight",
        "cluster",
        "available",
        TAGS,
    )
    cloud.ec2.delete_placement_group(GroupName="tight")
    assert cloud.ec2.describe_placement_groups()["PlacementGroups"] == []
    for call in (cloud.ec2.describe_placement_groups, cloud.ec2.delete_placement_group):
        name = (
            {"GroupNames": ["tight"]}
            if call == cloud.ec2.describe_placement_groups
            else {"GroupName": "tight"}
        )
        assert refusal(call, **name) == "InvalidPlacementGroup.Unknown"


def test_placement_groups_are_found_by_filters(cloud):
    cloud.ec2.create_placement_group(GroupName="tight", **tagged("placement-group"))
    cloud.ec2.create_placement_group(GroupName="wide", Strategy="spread")

    def found(**names: str) -> list[str]:
        filters = [{"Name": name.replace("_", "-"), "Values": [value]} for name, value in names.items()]
        groups = cloud.ec2.describe_placement_groups(Filters=filters)["PlacementGroups"]
        return [group["GroupName"] for group in groups]

    assert (found(strategy="spread"), found(group_name="t*"), found(tag_key="owner")) == (
        ["wide"],
        ["tight"],
        ["tight"],
    )
    assert found(**{"tag:owner": "dask & co"}) == ["tight"]
    assert refusal(cloud.ec2.describe_placement_groups, Filters=[{"Name": "colour", "Values": ["red"]}]) == (
        "InvalidParameterValue"
    )


def test_a_placement_group_s_name_is_unique_in_its_region(cloud):
    cloud.ec2.create_placement_group(GroupName="tight")

    assert refusal(cloud.ec2.create_placement_group, GroupName="tight") == "InvalidPlacementGroup.Duplicate"
    cloud.client("ec2", "eu-west-1").create_placement_group(GroupName="tight")
    assert refusal(cloud.ec2.create_placement_group, GroupName="a", DryRun=True) == "DryRunOperation"
    assert (
        refusal(cloud.ec2.create_placement_group, GroupName="a", Strategy="pile") == "InvalidParameterValue"
    )


def test_an_instance_s_placement_group_is_described_and_cannot_be_deleted(cloud):
    group = cloud.ec2.create_placement_group(GroupName="tight")["PlacementGroup"]
    instance = cloud.running(InstanceType="m5.large", Placement={"GroupName": "tight"})

    assert (instance["Placement"]["GroupName"], instance["Placement"]["GroupId"]) == (
        "tight",
        group["GroupId"],
    )
    assert refusal(cloud.ec2.delete_placement_group, GroupName="tight") == "InvalidPlacementGroup.InUse"
    cloud.terminate(instance)
    cloud.until(instance, "terminated")
    cloud.ec2.delete_placement_group(GroupName="tight")


def test_a_cluster_placement_group_refuses_some_types(cloud):
    cloud.ec2.create_placement_group(GroupName="tight", Strategy="cluster")

    placed = {"InstanceType": "t3.micro", "Placement": {"GroupName": "tight"}}
    assert refusal(cloud.run, **placed) == "InvalidParameterCombination"


def test_an_instance_connect_endpoint_is_described_until_deleted(cloud):
    subnet = cloud.ec2.describe_subnets()["Subnets"][0]
    made = cloud.ec2.create_instance_connect_endpoint(
        SubnetId=subnet["SubnetId"], **tagged("instance-connect-endpoint")
    )["InstanceConnectEndpoint"]

    vpc = [{"Name": "vpc-id", "Values": [subnet["VpcId"]]}, {"Name": "state", "Values": ["create-complete"]}]
    described = cloud.ec2.describe_instance_connect_endpoints(Filters=vpc)["InstanceConnectEndpoints"]
    assert described == [made]
    assert (made["SubnetId"], made["VpcId"], made["State"], made["Tags"]) == (
        subnet["SubnetId"],
        subnet["VpcId"],
        "create-complete",
        TAGS,
    )
    one = {"InstanceConnectEndpointId": made["InstanceConnectEndpointId"]}
    cloud.ec2.delete_instance_connect_endpoint(**one)
    assert cloud.ec2.describe_instance_connect_endpoints()["InstanceConnectEndpoints"] == []
    assert refusal(cloud.ec2.delete_instance_connect_endpoint, **one) == (
        "InvalidInstanceConnectEndpointId.NotFound"
    )


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"SubnetId": "subnet-0fffffffffffffff0"}, "InvalidSubnetID.NotFound"),
        ({"SecurityGroupIds": ["sg-0fffffffffffffff0"]}, "InvalidGroup.NotFound"),
    ],
)
def test_an_endpoint_of_missing_resources_is_refused(cloud, parameters, code):
    subnet = cloud.ec2.describe_subnets()["Subnets"][0]["SubnetId"]

    assert refusal(cloud.ec2.create_instance_connect_endpoint, **{"SubnetId": subnet, **parameters}) == code
