"""Exact requests for images and snapshots, and the errors made of refusals."""

from dataclasses import replace
from datetime import UTC, datetime

import boto3
import pytest
from botocore.config import Config
from botocore.stub import Stubber

from dask_bake import clouds
from dask_bake.ec2.images import Ec2Images, connect_images
from dask_bake.errors import BakeError, UsageError
from dask_bake.events import Called
from dask_bake.models.ec2 import Image, ImageSettings, Snapshot
from fakes import FakeClock
from http_servers import serving
from isolation import KEY_PAIR

CREATED = datetime(2026, 1, 2, tzinfo=UTC)
IMAGE = Image("ami-1", "one", "available", CREATED, snapshot_id="snap-1")
MANAGED_FILTER = [
    {"Name": "tag:dask-bake:managed", "Values": ["true"]},
    {"Name": "tag-key", "Values": ["dask-bake:digest"]},
]
FOR_ONE = {
    "OwnerIds": ["self"],
    "Filters": [
        {
            "Name": "description",
            "Values": ["Created by CreateImage(*) for ami-1*", "Copied for DestinationAmi ami-1*"],
        }
    ],
    "MaxResults": 200,
}


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def stubbed(clock):
    client = boto3.client("ec2", region_name="us-east-1", config=Config(retries={"total_max_attempts": 1}))
    with Stubber(client) as stub:
        yield Ec2Images(client, region="us-east-1", sleep=clock.sleep, clock=clock), stub
        stub.assert_no_pending_responses()


def test_managed_images_of_any_state_are_read_page_by_page_and_sorted_newest_first(stubbed):
    ec2, stub = stubbed
    first = {"ImageId": "ami-1", "CreationDate": "2026-01-01T00:00:00.000Z", "State": "pending"}
    second = {"ImageId": "ami-2", "CreationDate": "2026-02-01T00:00:00.000Z", "State": "failed"}
    request = {"Owners": ["self"], "Filters": MANAGED_FILTER, "IncludeDisabled": True, "MaxResults": 200}
    stub.add_response("describe_images", {"Images": [first], "NextToken": "more"}, request)
    stub.add_response("describe_images", {"Images": [second]}, {**request, "NextToken": "more"})

    assert [(image.id, image.state) for image in ec2.mine()] == [("ami-2", "failed"), ("ami-1", "pending")]


def test_base_images_are_requested_from_debian_s_account_by_name(stubbed):
    ec2, stub = stubbed
    stub.add_response(
        "describe_images",
        {"Images": [{"ImageId": "ami-1", "Name": "debian-12-amd64-20260701-2100"}]},
        {
            "Owners": ["136693071363"],
            "Filters": [
                {"Name": "name", "Values": ["debian-12-amd64-*"]},
                {"Name": "state", "Values": ["available"]},
            ],
            "MaxResults": 200,
        },
    )

    assert [image.name for image in ec2.published(["debian-12-amd64-*"])] == ["debian-12-amd64-20260701-2100"]


def test_without_ids_no_request_is_sent(stubbed):
    ec2, _ = stubbed
    assert (ec2.published([]), ec2.snapshots([]), ec2.users_of([])) == ((), {}, {})


def test_a_snapshot_has_the_values_of_the_response(stubbed):
    ec2, stub = stubbed
    stub.add_response(
        "describe_snapshots",
        {
            "Snapshots": [
                {
                    "SnapshotId": "snap-1",
                    "VolumeSize": 10,
                    "StartTime": CREATED,
                    "FullSnapshotSizeInBytes": 1234,
                    "Encrypted": True,
                    "Tags": [{"Key": "dask-bake:managed", "Value": "true"}],
                }
            ]
        },
        {
            "OwnerIds": ["self"],
            "Filters": [{"Name": "snapshot-id", "Values": ["snap-1", "snap-2"]}],
            "MaxResults": 200,
        },
    )

    snapshot = Snapshot("snap-1", 10, CREATED, 1234, True, (("dask-bake:managed", "true"),))
    assert ec2.snapshots(["snap-1", "snap-2"]) == {"snap-1": snapshot}


def test_more_ids_than_a_filter_can_hold_are_requested_in_several_calls(stubbed):
    ec2, stub = stubbed
    ids = [f"snap-{number}" for number in range(201)]
    for some in (ids[:200], ids[200:]):
        stub.add_response(
            "describe_snapshots",
            {"Snapshots": [{"SnapshotId": some[0]}]},
            {
                "OwnerIds": ["self"],
                "Filters": [{"Name": "snapshot-id", "Values": some}],
                "MaxResults": 200,
            },
        )

    assert list(ec2.snapshots(ids)) == ["snap-0", "snap-200"]


def test_managed_snapshots_are_found_by_tag(stubbed):
    ec2, stub = stubbed
    stub.add_response(
        "describe_snapshots",
        {"Snapshots": [{"SnapshotId": "snap-1"}]},
        {"OwnerIds": ["self"], "Filters": MANAGED_FILTER, "MaxResults": 200},
    )

    assert [each.id for each in ec2.tagged_snapshots()] == ["snap-1"]


def test_users_of_an_image_are_clusters_and_instances_that_have_not_ended(stubbed):
    ec2, stub = stubbed
    docs = [{"Key": "dask-bake:cluster", "Value": "docs"}]
    stub.add_response(
        "describe_instances",
        {
            "Reservations": [
                {
                    "Instances": [
                        {"InstanceId": "i-1", "ImageId": "ami-1", "Tags": docs},
                        {"InstanceId": "i-2", "ImageId": "ami-1", "Tags": docs},
                        {"InstanceId": "i-3", "ImageId": "ami-1"},
                    ]
                }
            ]
        },
        {
            "Filters": [
                {"Name": "image-id", "Values": ["ami-1", "ami-2"]},
                {
                    "Name": "instance-state-name",
                    "Values": ["pending", "running", "shutting-down", "stopping", "stopped"],
                },
            ]
        },
    )

    assert ec2.users_of(["ami-1", "ami-2"]) == {"ami-1": ("docs", "i-3")}


def test_the_settings_of_an_image_are_requested_by_id(stubbed):
    ec2, stub = stubbed
    stub.add_response(
        "describe_images",
        {
            "Images": [
                {
                    "ImageId": "ami-1",
                    "Description": "a bake",
                    "DeprecationTime": "2026-04-01T00:00:00.000Z",
                    "ImdsSupport": "v2.0",
                }
            ]
        },
        {"ImageIds": ["ami-1"]},
    )
    stub.add_response(
        "describe_image_attribute",
        {"LaunchPermissions": [{"UserId": "222222222222"}, {"Group": "all"}]},
        {"ImageId": "ami-1", "Attribute": "launchPermission"},
    )

    assert ec2.settings_of("ami-1") == ImageSettings(
        "a bake", datetime(2026, 4, 1, tzinfo=UTC), True, ("222222222222", "all")
    )


def test_a_removed_image_has_no_settings(stubbed):
    ec2, stub = stubbed
    stub.add_client_error("describe_images", "InvalidAMIID.NotFound", "The image id '[ami-1]' does not exist")

    with pytest.raises(BakeError, match="the image is gone"):
        ec2.settings_of("ami-1")


def test_the_regions_are_those_enabled_for_the_account(stubbed):
    ec2, stub = stubbed
    regions = [{"RegionName": "us-east-1"}, {"RegionName": "eu-west-1"}]
    stub.add_response("describe_regions", {"Regions": regions}, {})

    assert ec2.regions() == ("eu-west-1", "us-east-1")


def test_each_setting_of_an_image_is_one_call(stubbed):
    ec2, stub = stubbed
    stub.add_response("modify_image_attribute", {}, {"ImageId": "ami-1", "ImdsSupport": {"Value": "v2.0"}})
    stub.add_response("enable_image_deprecation", {}, {"ImageId": "ami-1", "DeprecateAt": CREATED})
    stub.add_response(
        "create_tags", {}, {"Resources": ["ami-1", "snap-1"], "Tags": [{"Key": "a", "Value": "b"}]}
    )

    ec2.require_imdsv2("ami-1")
    ec2.deprecate("ami-1", CREATED)
    ec2.tag(["ami-1", "snap-1"], (("a", "b"),))


def test_an_image_is_deregistered_and_then_its_snapshots_are_deleted(stubbed):
    ec2, stub = stubbed
    stub.add_response("deregister_image", {}, {"ImageId": "ami-1"})
    stub.add_response("describe_snapshots", {"Snapshots": [{"SnapshotId": "snap-2"}]}, FOR_ONE)
    stub.add_response("delete_snapshot", {}, {"SnapshotId": "snap-1"})
    stub.add_response("delete_snapshot", {}, {"SnapshotId": "snap-2"})

    ec2.remove(IMAGE)


@pytest.mark.parametrize("code", ["InvalidAMIID.NotFound", "InvalidAMIID.Unavailable"])
def test_removing_a_missing_image_or_snapshot_is_no_error(stubbed, code):
    ec2, stub = stubbed
    stub.add_client_error("deregister_image", code)
    stub.add_response("describe_snapshots", {"Snapshots": []}, FOR_ONE)
    stub.add_client_error("delete_snapshot", "InvalidSnapshot.NotFound")

    ec2.remove(IMAGE)


def test_an_image_that_cannot_be_deregistered_keeps_its_snapshot(stubbed):
    ec2, stub = stubbed
    stub.add_client_error("deregister_image", "UnauthorizedOperation")

    with pytest.raises(BakeError, match="may not call ec2:DeregisterImage"):
        ec2.remove(IMAGE)


def test_a_snapshot_still_in_use_by_its_deregistered_image_is_deleted_after_a_retry(stubbed, clock):
    ec2, stub = stubbed
    for _ in range(2):
        stub.add_client_error("delete_snapshot", "InvalidSnapshot.InUse")
    stub.add_response("delete_snapshot", {}, {"SnapshotId": "snap-1"})

    ec2.remove_snapshot("snap-1")

    assert clock.now == 100 + 0.5 + 1


def test_a_snapshot_that_stays_in_use_is_an_error(stubbed):
    ec2, stub = stubbed
    for _ in range(6):
        stub.add_client_error("delete_snapshot", "InvalidSnapshot.InUse", "snap-1 is in use by ami-9")

    with pytest.raises(BakeError, match="snap-1 is in use by ami-9"):
        ec2.remove_snapshot("snap-1")


def test_a_copy_is_encrypted_and_tagged_when_it_is_created(stubbed):
    ec2, stub = stubbed
    stub.add_response(
        "copy_image",
        {"ImageId": "ami-2"},
        {
            "SourceImageId": "ami-1",
            "SourceRegion": "eu-west-1",
            "Name": "one",
            "Description": "a bake",
            "ClientToken": "token",
            "Encrypted": True,
            "TagSpecifications": [
                {"ResourceType": "image", "Tags": [{"Key": "a", "Value": "b"}]},
                {"ResourceType": "snapshot", "Tags": [{"Key": "c", "Value": "d"}]},
            ],
        },
    )

    copied = ec2.copy(
        IMAGE,
        from_region="eu-west-1",
        name="one",
        client_token="token",
        description="a bake",
        tags=(("a", "b"),),
        snapshot_tags=(("c", "d"),),
    )

    assert copied == "ami-2"


def looks(stub, *answers):
    for answer in answers:
        images = [] if answer is None else [{"ImageId": "ami-1", **answer}]
        request = {
            "Owners": ["self"],
            "Filters": [{"Name": "image-id", "Values": ["ami-1"]}],
            "IncludeDisabled": True,
            "MaxResults": 200,
        }
        stub.add_response("describe_images", {"Images": images}, request)


def test_waiting_for_an_image_starts_before_ec2_lists_it(stubbed, clock):
    ec2, stub = stubbed
    looks(stub, None, {"State": "pending"}, {"State": "available"})

    assert ec2.wait_available("ami-1", timeout=60).state == "available"
    assert clock.now == 104


@pytest.mark.parametrize("state", ["failed", "error", "invalid"])
def test_an_image_that_fails_is_an_error_with_ec2_s_reason(stubbed, state):
    ec2, stub = stubbed
    looks(stub, {"State": state, "StateReason": {"Message": "the key is disabled"}})

    with pytest.raises(BakeError, match=f"ami-1 in us-east-1 is {state}: the key is disabled"):
        ec2.wait_available("ami-1", timeout=60)


def test_waiting_ends_if_the_image_is_removed(stubbed):
    ec2, stub = stubbed
    looks(stub, {"State": "pending"}, None)

    with pytest.raises(BakeError, match="is deregistered: somebody removed it"):
        ec2.wait_available("ami-1", timeout=60)


def test_waiting_for_an_image_ends_at_the_deadline_and_names_the_image(stubbed):
    ec2, stub = stubbed
    looks(stub, *3 * [{"State": "pending"}])

    with pytest.raises(BakeError, match="waited 4 s for the image ami-1 in us-east-1, it is still pending"):
        ec2.wait_available("ami-1", timeout=4)


@pytest.mark.parametrize(
    ("method", "change", "operation"), [("share", "Add", "add"), ("unshare", "Remove", "remove")]
)
def test_an_image_is_shared_with_its_snapshot(stubbed, method, change, operation):
    ec2, stub = stubbed
    stub.add_response(
        "modify_image_attribute",
        {},
        {"ImageId": "ami-1", "LaunchPermission": {change: [{"UserId": "111111111111"}]}},
    )
    stub.add_response(
        "modify_snapshot_attribute",
        {},
        {
            "SnapshotId": "snap-1",
            "Attribute": "createVolumePermission",
            "OperationType": operation,
            "UserIds": ["111111111111"],
        },
    )

    getattr(ec2, method)(IMAGE, ["111111111111"])


@pytest.mark.parametrize(
    ("code", "reason", "message", "hint"),
    [
        (
            "InvalidParameter",
            "Snapshots encrypted with the AWS Managed CMK can't be shared. Specify another snapshot.",
            "encrypted with AWS's own key",
            "--kms-key",
        ),
        (
            "OperationNotPermitted",
            "Encrypted snapshots with EBS default key cannot be shared",
            "encrypted with AWS's own key",
            "--kms-key",
        ),
        ("ResourceLimitExceeded", "why", "as its quota allows: .*why", "images prune --keep 2"),
        ("AMILimitExceeded", "why", "as its quota allows: .*why", "images prune --keep 2"),
        ("PendingSnapshotLimitExceeded", "why", "as many snapshots", "try again"),
        ("InvalidAMIName.Duplicate", "why", "the name is taken", "describe-images"),
        ("InvalidAMIID.NotFound", "why", "the image is gone", "dask-bake images"),
        ("UnauthorizedOperation", "why", "may not call ec2:ModifyImageAttribute", "iam-policy"),
    ],
)
def test_a_refusal_by_aws_is_an_error_with_a_hint(stubbed, code, reason, message, hint):
    ec2, stub = stubbed
    stub.add_client_error("modify_image_attribute", code, reason)

    with pytest.raises(BakeError, match=message) as caught:
        ec2.share(IMAGE, ["111111111111"])
    assert hint in caught.value.hint


def test_sharing_with_an_unknown_account_is_wrong_use(stubbed):
    ec2, stub = stubbed
    stub.add_client_error("modify_image_attribute", "InvalidAMIAttributeItemValue", "why")

    with pytest.raises(UsageError, match="AWS does not know the account"):
        ec2.share(IMAGE, ["111111111111"])


def test_requests_go_to_the_endpoint_of_the_cloud_and_are_events():
    refusal = "<Response><Errors><Error><Code>UnauthorizedOperation</Code></Error></Errors></Response>"

    events = []
    with serving(lambda _: (403, refusal)) as url:
        there = replace(clouds.local_cloud(url, KEY_PAIR, "eu-west-1"), check_answer=None)
        ec2 = connect_images(there, events.append)
        with pytest.raises(BakeError, match="may not call ec2:DescribeImages"):
            ec2.mine()

    assert (events, ec2.region) == ([Called("DescribeImages")], "eu-west-1")
