"""Exact requests to EC2, and the errors made of refusals."""

from contextlib import nullcontext
from datetime import UTC, datetime

import boto3
import pytest
from botocore.config import Config
from botocore.stub import Stubber

from dask_bake import clouds
from dask_bake.clusters.naming import member_rule, ssh_rule
from dask_bake.ec2 import api, requests, responses
from dask_bake.ec2.api import Ec2
from dask_bake.ec2.retry import RetryPolicy
from dask_bake.errors import BakeError, OutcomeUnknownError, UsageError
from dask_bake.events import Called, Note
from dask_bake.models.ec2 import SecurityGroup
from fakes import PUBLIC_KEY, FakeClock, a_plan, head_of, workers_of
from isolation import KEY_PAIR

TAGS = [
    {"Key": "Name", "Value": "dask-worker"},
    {"Key": "dask-bake:cluster", "Value": "dask"},
    {"Key": "dask-bake:count", "Value": "3"},
    {"Key": "dask-bake:first-index", "Value": "1"},
    {"Key": "dask-bake:launch-id", "Value": "launch1"},
    {"Key": "dask-bake:managed", "Value": "true"},
    {"Key": "dask-bake:nprocs", "Value": "2"},
    {"Key": "dask-bake:nthreads", "Value": "4"},
    {"Key": "dask-bake:role", "Value": "worker"},
    {"Key": "dask-bake:user", "Value": "admin"},
]
INSTANCE = {
    "InstanceId": "i-1",
    "AmiLaunchIndex": 0,
    "State": {"Name": "pending"},
    "PrivateIpAddress": "10.0.0.5",
    "LaunchTime": datetime(2026, 1, 2, tzinfo=UTC),
    "Tags": TAGS,
}


@pytest.fixture
def stubbed():
    client = boto3.client("ec2", region_name="us-east-1", config=Config(retries={"total_max_attempts": 1}))
    pauses: list[float] = []
    with Stubber(client) as stub:
        yield Ec2(client, sleep=pauses.append), stub, pauses
        stub.assert_no_pending_responses()


def test_instances_are_requested_all_or_none_encrypted_tagged_and_with_imdsv2(stubbed):
    ec2, stub, _ = stubbed
    spec = workers_of(a_plan())
    stub.add_response(
        "run_instances",
        {"Instances": [INSTANCE, {**INSTANCE, "InstanceId": "i-2", "AmiLaunchIndex": 1}]},
        {
            "ImageId": "ami-0123456789abcdef0",
            "InstanceType": "m6i.2xlarge",
            "MinCount": 2,
            "MaxCount": 2,
            "ClientToken": spec.client_token,
            "UserData": spec.user_data,
            "InstanceInitiatedShutdownBehavior": "terminate",
            "MetadataOptions": {
                "HttpEndpoint": "enabled",
                "HttpTokens": "required",
                "HttpPutResponseHopLimit": 1,
            },
            "BlockDeviceMappings": [
                {
                    "DeviceName": "/dev/xvda",
                    "Ebs": {"VolumeType": "gp3", "Encrypted": True, "DeleteOnTermination": True},
                }
            ],
            "NetworkInterfaces": [
                {
                    "DeviceIndex": 0,
                    "SubnetId": "subnet-1",
                    "Groups": ["sg-1"],
                    "AssociatePublicIpAddress": True,
                    "DeleteOnTermination": True,
                }
            ],
            "TagSpecifications": [
                {"ResourceType": "instance", "Tags": TAGS},
                {"ResourceType": "volume", "Tags": TAGS},
                {"ResourceType": "network-interface", "Tags": TAGS},
            ],
        },
    )

    nodes = ec2.run_instances(spec)

    assert [(node.id, node.index, node.role, node.private_address) for node in nodes] == [
        ("i-1", 1, "worker", "10.0.0.5"),
        ("i-2", 2, "worker", "10.0.0.5"),
    ]
    assert PUBLIC_KEY in spec.user_data


def test_further_volumes_of_an_image_are_encrypted_and_deleted_with_the_instance(stubbed):
    ec2, stub, _ = stubbed
    answer = {
        "ImageId": "ami-1",
        "RootDeviceName": "/dev/xvda",
        "BlockDeviceMappings": [
            {"DeviceName": "/dev/sdf", "Ebs": {"SnapshotId": "snap-2", "VolumeSize": 50, "Encrypted": False}},
            {"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": "snap-1", "VolumeSize": 10}},
            {"DeviceName": "/dev/sdg", "Ebs": {"SnapshotId": "snap-3", "DeleteOnTermination": False}},
            {"DeviceName": "/dev/sdb", "VirtualName": "ephemeral0"},
        ],
    }
    stub.add_response("describe_images", {"Images": [answer]}, {"ImageIds": ["ami-1"]})

    spec = head_of(a_plan(image=ec2.image("ami-1")))

    kept = {"Encrypted": True, "DeleteOnTermination": True}
    assert requests.run_instances(spec)["BlockDeviceMappings"] == [
        {"DeviceName": "/dev/xvda", "Ebs": {**kept, "VolumeType": "gp3", "VolumeSize": 10}},
        {"DeviceName": "/dev/sdf", "Ebs": {**kept, "VolumeSize": 50}},
        {"DeviceName": "/dev/sdg", "Ebs": kept},
    ]


def test_a_security_group_is_tagged_when_it_is_created(stubbed):
    ec2, stub, _ = stubbed
    stub.add_response(
        "create_security_group",
        {"GroupId": "sg-1"},
        {
            "GroupName": "dask-bake-dask",
            "Description": "A Dask cluster: its nodes among themselves, and SSH from its owner",
            "VpcId": "vpc-1",
            "TagSpecifications": [
                {"ResourceType": "security-group", "Tags": [{"Key": "dask-bake:managed", "Value": "true"}]}
            ],
        },
    )

    group = ec2.create_security_group("dask-bake-dask", vpc_id="vpc-1", tags=(("dask-bake:managed", "true"),))

    assert group == SecurityGroup("sg-1", "dask-bake-dask", "vpc-1", (("dask-bake:managed", "true"),))


def described(*launch_ids):
    return {
        "SecurityGroups": [
            {
                "GroupId": "sg-1",
                "GroupName": "dask-bake-dask",
                "VpcId": "vpc-1",
                "Tags": [{"Key": "dask-bake:launch-id", "Value": each}],
            }
            for each in launch_ids
        ]
    }


@pytest.mark.parametrize(("launch_id", "is_ours"), [("other", False), ("own", True)])
def test_a_duplicate_security_group_is_refused_unless_this_launch_created_it(stubbed, launch_id, is_ours):
    ec2, stub, pauses = stubbed
    stub.add_client_error("create_security_group", "InvalidGroup.Duplicate")
    stub.add_response("describe_security_groups", described())
    stub.add_response("describe_security_groups", described(launch_id))
    tags = (("dask-bake:launch-id", "own"),)

    group = ec2.create_security_group("dask-bake-dask", vpc_id="vpc-1", tags=tags)

    ours = SecurityGroup("sg-1", "dask-bake-dask", "vpc-1", tags)
    assert (group, pauses) == (ours if is_ours else None, [1.0])


@pytest.mark.parametrize("names", [(), ("dask-bake-dask",)])
def test_a_duplicate_key_pair_is_an_error_unless_this_launch_created_it(stubbed, names):
    ec2, stub, _ = stubbed
    stub.add_client_error("import_key_pair", "InvalidKeyPair.Duplicate")
    stub.add_response(
        "describe_key_pairs",
        {"KeyPairs": [{"KeyName": name} for name in names]},
        {"Filters": [{"Name": "tag:dask-bake:launch-id", "Values": ["own"]}]},
    )

    with nullcontext() if names else pytest.raises(BakeError, match=r"InvalidKeyPair\.Duplicate"):
        ec2.import_key_pair("dask-bake-dask", public_key="x", tags=(("dask-bake:launch-id", "own"),))


def test_an_instance_that_ec2_does_not_know_yet_has_no_console_output(stubbed):
    ec2, stub, _ = stubbed
    stub.add_client_error("get_console_output", "InvalidInstanceID.NotFound")

    assert ec2.console_output("i-1") == ""


@pytest.mark.parametrize(
    ("caller", "ranges"),
    [
        (
            "192.0.2.7/32",
            {
                "IpRanges": [
                    {"CidrIp": "192.0.2.7/32", "Description": "SSH from where the cluster was launched"}
                ]
            },
        ),
        (
            "2001:db8::1/128",
            {
                "Ipv6Ranges": [
                    {"CidrIpv6": "2001:db8::1/128", "Description": "SSH from where the cluster was launched"}
                ]
            },
        ),
    ],
)
def test_a_security_group_allows_its_members_and_ssh_from_one_address(stubbed, caller, ranges):
    ec2, stub, _ = stubbed
    stub.add_response(
        "authorize_security_group_ingress",
        {},
        {
            "GroupId": "sg-1",
            "IpPermissions": [
                {
                    "IpProtocol": "-1",
                    "UserIdGroupPairs": [{"GroupId": "sg-1", "Description": "nodes of the cluster"}],
                },
                {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, **ranges},
            ],
        },
    )

    ec2.authorize(SecurityGroup("sg-1", "dask-bake-dask", "vpc-1"), (member_rule("sg-1"), ssh_rule(caller)))


def test_a_rule_is_revoked_without_its_description(stubbed):
    ec2, stub, _ = stubbed
    stub.add_response(
        "revoke_security_group_ingress",
        {},
        {
            "GroupId": "sg-2",
            "IpPermissions": [
                {
                    "IpProtocol": "tcp",
                    "FromPort": 22,
                    "ToPort": 22,
                    "IpRanges": [{"CidrIp": "192.0.2.7/32"}],
                }
            ],
        },
    )
    stub.add_client_error("revoke_security_group_ingress", "InvalidPermission.NotFound")

    ec2.revoke(SecurityGroup("sg-2", "x", "vpc-1"), (ssh_rule("192.0.2.7/32"), ssh_rule("192.0.2.8/32")))


def test_a_duplicate_rule_is_not_an_error(stubbed):
    """The rule may also come from a request whose response was lost."""
    ec2, stub, _ = stubbed
    stub.add_client_error("authorize_security_group_ingress", "InvalidPermission.Duplicate")
    stub.add_client_error("authorize_security_group_ingress", "InvalidPermission.Duplicate")
    stub.add_response("authorize_security_group_ingress", {})

    ec2.authorize(SecurityGroup("sg-2", "x", "vpc-1"), (ssh_rule("192.0.2.7/32"), ssh_rule("192.0.2.8/32")))


def test_key_pairs_are_found_by_tag_and_deleted_by_name(stubbed):
    ec2, stub, _ = stubbed
    stub.add_response(
        "describe_key_pairs",
        {"KeyPairs": [{"KeyPairId": "key-1", "KeyName": "dask-bake-dask"}]},
        {"Filters": [{"Name": "tag:dask-bake:cluster", "Values": ["dask"]}]},
    )
    stub.add_response("delete_key_pair", {}, {"KeyName": "dask-bake-dask"})

    for name in ec2.key_pairs({"dask-bake:cluster": "dask"}):
        ec2.delete_key_pair(name)


def test_insufficient_capacity_is_not_retried(stubbed):
    ec2, stub, pauses = stubbed
    stub.add_client_error(
        "run_instances", "InsufficientInstanceCapacity", "none in us-east-1a", http_status_code=500
    )

    with pytest.raises(BakeError, match="AWS lacks capacity for this request: none in us-east-1a"):
        ec2.run_instances(head_of(a_plan()))
    assert pauses == []


def test_a_response_without_instances_is_not_from_ec2(stubbed):
    ec2, stub, _ = stubbed
    stub.add_response("run_instances", {})

    with pytest.raises(BakeError, match="did not come from EC2"):
        ec2.run_instances(head_of(a_plan()))


def test_live_console_output_is_requested(stubbed):
    ec2, stub, _ = stubbed
    stub.add_response("get_console_output", {"InstanceId": "i-1"}, {"InstanceId": "i-1", "Latest": True})

    assert ec2.console_output("i-1") == ""


@pytest.mark.parametrize("code", [None, "InvalidInstanceID.NotFound"])
def test_without_live_console_output_the_last_stored_output_is_requested(stubbed, code):
    ec2, stub, _ = stubbed
    why = "This instance type does not support retrieving the latest console logs"
    latest = {"InstanceId": "i-1", "Latest": True}
    stub.add_client_error("get_console_output", "UnsupportedOperation", why, expected_params=latest)
    response = {"InstanceId": "i-1", "Output": "booting"}
    if code is None:
        stub.add_response("get_console_output", response, {"InstanceId": "i-1"})
    else:
        stub.add_client_error("get_console_output", code, expected_params={"InstanceId": "i-1"})

    assert ec2.console_output("i-1") == ("booting" if code is None else "")


@pytest.mark.parametrize(("first", "index"), [("7", 8), ("1", 2), (None, 2), ("x", 2), ("-3", 2)])
def test_a_node_s_number_is_counted_from_the_first_of_its_request(first, index):
    """Without a number in the tag, as in an older version, from 1."""
    tags = [tag for tag in TAGS if tag["Key"] != "dask-bake:first-index"]
    tags += [] if first is None else [{"Key": "dask-bake:first-index", "Value": first}]

    assert responses.node({**INSTANCE, "AmiLaunchIndex": 1, "Tags": tags}).index == index


def test_nodes_are_found_by_tag_on_all_pages_and_the_head_is_first(stubbed):
    ec2, stub, _ = stubbed
    filters = [{"Name": "tag:dask-bake:cluster", "Values": ["dask"]}]
    head = {**INSTANCE, "InstanceId": "i-0", "Tags": [{"Key": "dask-bake:role", "Value": "head"}]}
    stub.add_response(
        "describe_instances",
        {"Reservations": [{"Instances": [INSTANCE]}], "NextToken": "more"},
        {"Filters": filters},
    )
    stub.add_response(
        "describe_instances",
        {"Reservations": [{"Instances": [head]}]},
        {"Filters": filters, "NextToken": "more"},
    )

    assert [(node.id, node.index) for node in ec2.nodes({"dask-bake:cluster": "dask"})] == [
        ("i-0", 0),
        ("i-1", 1),
    ]


def test_if_one_instance_cannot_be_terminated_the_others_are(stubbed):
    ec2, stub, _ = stubbed
    stub.add_client_error("terminate_instances", "OperationNotPermitted", "protected")
    stub.add_client_error("terminate_instances", "OperationNotPermitted", "protected")
    stub.add_client_error("terminate_instances", "InvalidInstanceID.NotFound", "gone")
    stub.add_response("terminate_instances", {}, {"InstanceIds": ["i-3"]})

    with pytest.raises(BakeError, match="protected"):
        ec2.terminate(["i-1", "i-2", "i-3"])


@pytest.mark.parametrize(
    ("code", "gone"),
    [("DependencyViolation", False), ("InvalidGroup.InUse", False), ("InvalidGroup.NotFound", True)],
)
def test_a_security_group_in_use_is_not_deleted_and_a_missing_one_counts_as_deleted(stubbed, code, gone):
    ec2, stub, _ = stubbed
    stub.add_client_error("delete_security_group", code)

    assert ec2.delete_security_group("sg-1") is gone


def test_an_unreachable_endpoint_is_an_error_and_every_attempt_is_an_event():
    events = []
    clock = FakeClock()
    retries = RetryPolicy(events.append, clock, clock.sleep, jitter=lambda: 1.0)
    ec2 = api.connect(
        clouds.local_cloud("http://127.0.0.1:9", KEY_PAIR, None), events.append, retries=retries
    )

    with pytest.raises(OutcomeUnknownError, match="EC2 could not be reached"):
        ec2.subnets()
    note = Note("AWS does not respond to DescribeSubnets: retrying.")
    assert events == [*3 * [Called("DescribeSubnets")], note, *2 * [Called("DescribeSubnets")]]
    assert clock.now == 100 + 1 + 2 + 4 + 8


@pytest.mark.parametrize(
    ("region", "hint"),
    [
        ("us-esat-1", "did you mean us-west-1 or us-east-1 or "),
        ("eu-central-11", "did you mean eu-central-1 or "),
        ("nowhere", "aws ec2 describe-regions lists them. "),
    ],
)
def test_an_unknown_region_is_refused_with_similar_ones_and_without_a_request(region, hint):
    events = []

    with pytest.raises(UsageError) as caught:
        api.connect(clouds.aws_cloud(region, {}), events.append)

    assert (caught.value.message, caught.value.exit_code) == (f"there is no region {region}", 2)
    assert caught.value.hint.startswith(hint)
    assert caught.value.hint.endswith("A new region needs a newer botocore")
    assert events == []


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1", "ap-southeast-5"])
def test_a_region_that_exists_is_accepted(region):
    assert api.connect(clouds.aws_cloud(region, {}), [].append)
