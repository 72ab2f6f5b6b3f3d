"""Exact requests for leftover resources, and the values made of the responses."""

from datetime import UTC, datetime

import boto3
import pytest
from botocore.config import Config
from botocore.stub import Stubber

from dask_bake.ec2.resources import Ec2Resources
from dask_bake.errors import BakeError
from dask_bake.models.resources import Resource, ResourceKind
from dask_bake.models.tags import Tag

MANAGED_FILTER = {"Filters": [{"Name": "tag:dask-bake:managed", "Values": ["true"]}]}
WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
TAGS = ((Tag.CREATED, "2026-01-02T03:04:05+00:00"), (Tag.MANAGED, "true"))
TOLD = [{"Key": key, "Value": value} for key, value in TAGS]


@pytest.fixture
def stubbed():
    client = boto3.client("ec2", region_name="us-east-1", config=Config(retries={"total_max_attempts": 1}))
    with Stubber(client) as stub:
        yield Ec2Resources(client, sleep=[].append), stub
        stub.assert_no_pending_responses()


def instance(**changes) -> Resource:
    usual = {"state": "terminated", "created": WHEN, "type": "m6i.large"}
    return Resource(ResourceKind.INSTANCE, "i-1", TAGS, **{**usual, **changes})


@pytest.mark.parametrize(
    ("described", "resource"),
    [
        (
            {"StateTransitionReason": "User initiated (2026-01-02 03:04:05 GMT)"},
            instance(ended=WHEN),
        ),
        ({"StateTransitionReason": "Server.SpotInstanceTermination"}, instance()),
        ({"InstanceLifecycle": "spot", "StateTransitionReason": ""}, instance(is_spot=True)),
    ],
)
def test_an_instance_has_the_time_it_ended_if_ec2_reports_it(stubbed, described, resource):
    ec2, stub = stubbed
    answer = {
        "InstanceId": "i-1",
        "InstanceType": "m6i.large",
        "State": {"Name": "terminated"},
        "LaunchTime": WHEN,
        "Tags": TOLD,
        **described,
    }
    stub.add_response("describe_instances", {"Reservations": [{"Instances": [answer]}]}, MANAGED_FILTER)

    assert ec2._instances() == [resource]


@pytest.mark.parametrize(
    ("kind", "operation", "answer", "resource"),
    [
        (
            "_volumes",
            "describe_volumes",
            {
                "Volumes": [
                    {
                        "VolumeId": "vol-1",
                        "State": "available",
                        "CreateTime": WHEN,
                        "VolumeType": "gp3",
                        "Size": 10,
                        "Tags": TOLD,
                    }
                ]
            },
            Resource(
                ResourceKind.VOLUME, "vol-1", TAGS, state="available", created=WHEN, type="gp3", size=10
            ),
        ),
        (
            "_interfaces",
            "describe_network_interfaces",
            {"NetworkInterfaces": [{"NetworkInterfaceId": "eni-1", "Status": "in-use", "TagSet": TOLD}]},
            Resource(ResourceKind.INTERFACE, "eni-1", TAGS, state="in-use", created=WHEN),
        ),
        (
            "_security_groups",
            "describe_security_groups",
            {"SecurityGroups": [{"GroupId": "sg-1", "GroupName": "dask-bake-taxi", "Tags": TOLD}]},
            Resource(ResourceKind.GROUP, "sg-1", TAGS, name="dask-bake-taxi", created=WHEN),
        ),
        (
            "_keys",
            "describe_key_pairs",
            {"KeyPairs": [{"KeyPairId": "key-1", "KeyName": "dask", "CreateTime": WHEN, "Tags": TOLD}]},
            Resource(ResourceKind.KEY_PAIR, "key-1", TAGS, name="dask", created=WHEN),
        ),
    ],
)
def test_each_kind_of_resource_is_requested_by_the_managed_tag(stubbed, kind, operation, answer, resource):
    ec2, stub = stubbed
    stub.add_response(operation, answer, MANAGED_FILTER)

    assert getattr(ec2, kind)() == [resource]


@pytest.mark.parametrize("value", ["", "yesterday", "2026-01-02"])
def test_an_invalid_creation_time_is_unknown_and_one_without_zone_is_utc(stubbed, value):
    ec2, stub = stubbed
    tags = [{"Key": Tag.CREATED, "Value": value}]
    answer = {"SecurityGroups": [{"GroupId": "sg-1", "GroupName": "dask", "Tags": tags}]}
    stub.add_response("describe_security_groups", answer, MANAGED_FILTER)

    (resource,) = ec2._security_groups()
    assert resource.created == (datetime(2026, 1, 2, tzinfo=UTC) if value == "2026-01-02" else None)


def test_deleting_a_missing_resource_is_no_error(stubbed):
    ec2, stub = stubbed
    stub.add_client_error("delete_volume", "InvalidVolume.NotFound", expected_params={"VolumeId": "vol-1"})
    wanted = {"NetworkInterfaceId": "eni-1"}
    stub.add_client_error(
        "delete_network_interface", "InvalidNetworkInterfaceID.NotFound", expected_params=wanted
    )

    ec2.delete_volume("vol-1")
    ec2.delete_network_interface("eni-1")


def test_deleting_a_resource_in_use_is_an_error(stubbed):
    ec2, stub = stubbed
    stub.add_client_error("delete_volume", "VolumeInUse", "vol-1 is attached to i-1")

    with pytest.raises(BakeError, match="DeleteVolume failed: vol-1 is attached to i-1"):
        ec2.delete_volume("vol-1")


def test_only_enabled_regions_are_listed(stubbed):
    ec2, stub = stubbed
    regions = [{"RegionName": "us-east-1"}, {"RegionName": "eu-west-1"}]
    stub.add_response("describe_regions", {"Regions": regions}, {})

    assert ec2.regions() == ("eu-west-1", "us-east-1")
