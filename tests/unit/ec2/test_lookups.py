"""Exact requests of the queries before a launch, and the values made of the responses."""

from datetime import UTC, datetime
from typing import NoReturn

import boto3
import pytest
from botocore.config import Config
from botocore.stub import Stubber
from moto import mock_aws

from dask_bake import clouds
from dask_bake.ec2 import api
from dask_bake.ec2.api import Ec2
from dask_bake.ec2.lookups import Ec2Queries
from dask_bake.ec2.session import OwnCredentials
from dask_bake.errors import BakeError, UsageError
from dask_bake.events import Called
from dask_bake.models.ec2 import ConnectEndpoint, InstanceType, PlacementGroup, Quota, SecurityGroup, Subnet
from fakes import ARN

ONCE = Config(retries={"total_max_attempts": 1})
PROFILE = {
    "InstanceProfile": {
        "Path": "/",
        "InstanceProfileName": "s3-reader",
        "InstanceProfileId": "A" * 16,
        "Arn": "arn:aws:iam::123456789012:instance-profile/s3",
        "CreateDate": 0,
        "Roles": [],
    }
}


@pytest.fixture
def stubbed():
    client = boto3.client("ec2", region_name="us-east-1", config=ONCE)
    with Stubber(client) as stub:
        yield Ec2(client, sleep=[].append), stub
        stub.assert_no_pending_responses()


@pytest.fixture
def account():
    """Return the client, and the stub of the other service that it queries."""
    stubs = []

    def other(service):
        client = boto3.client(service, region_name="us-east-1", config=ONCE)
        stub = Stubber(client)
        stub.activate()
        answers.pop(0)(stub)
        stubs.append(stub)
        return client

    answers = []
    client = boto3.client("ec2", region_name="us-east-1")
    yield Ec2(client, sleep=[].append, other=other), answers
    for stub in stubs:
        stub.assert_no_pending_responses()


def test_a_quota_is_requested_by_its_code(account):
    ec2, answers = account
    response = {"Quota": {"QuotaName": "Running On-Demand Standard instances", "Value": 32.0}}
    wanted = {"ServiceCode": "ec2", "QuotaCode": "L-1216C47A"}
    answers.append(lambda stub: stub.add_response("get_service_quota", response, wanted))

    assert ec2.quota("L-1216C47A") == Quota("L-1216C47A", "Running On-Demand Standard instances", 32.0)


@pytest.mark.parametrize("code", ["AccessDeniedException", "NoSuchResourceException", "InternalFailure"])
def test_a_quota_that_the_caller_may_not_read_is_unknown(account, code):
    ec2, answers = account
    answers.append(lambda stub: stub.add_client_error("get_service_quota", code))

    assert ec2.quota("L-1216C47A") is None


def test_a_quota_in_a_malformed_response_is_unknown(account):
    ec2, answers = account
    answers.append(lambda stub: stub.add_response("get_service_quota", {}))

    assert ec2.quota("L-1216C47A") is None


@pytest.mark.parametrize(
    ("code", "known"), [(None, True), ("NoSuchEntity", False), ("AccessDenied", None), ("Throttling", None)]
)
def test_an_instance_profile_exists_or_not_or_is_unknown(account, code, known):
    ec2, answers = account
    wanted = {"InstanceProfileName": "s3-reader"}
    if code is None:
        answers.append(lambda stub: stub.add_response("get_instance_profile", PROFILE, wanted))
    else:
        answers.append(
            lambda stub: stub.add_client_error("get_instance_profile", code, expected_params=wanted)
        )

    assert ec2.has_instance_profile("s3-reader") is known


def test_the_caller_s_arn_is_read_once(account):
    ec2, answers = account
    identity = {"Arn": ARN, "Account": "123456789012", "UserId": "AIDA"}
    answers.append(lambda stub: stub.add_response("get_caller_identity", identity, {}))

    assert [ec2.caller_arn(), ec2.caller_arn()] == [ARN, ARN]


def test_a_caller_whose_arn_cannot_be_read_is_unknown(account):
    ec2, answers = account
    answers.append(lambda stub: stub.add_client_error("get_caller_identity", "AccessDenied"))

    assert ec2.caller_arn() == ""


def test_broken_credentials_are_no_unknown_caller():
    def other(service: str) -> NoReturn:
        raise UsageError("the AWS profile dev cannot be used", hint="aws sso login")

    ec2 = Ec2(boto3.client("ec2", region_name="us-east-1"), sleep=[].append, other=other)

    with pytest.raises(UsageError, match="the AWS profile dev cannot be used"):
        ec2.caller_arn()


def test_without_clients_of_other_services_their_values_are_unknown():
    client = boto3.client("ec2", region_name="us-east-1")
    ec2 = Ec2(client, sleep=[].append)

    assert (ec2.quota("L-1216C47A"), ec2.has_instance_profile("x"), ec2.prices) == (None, None, None)
    assert ec2.caller_arn() == ""


def test_a_key_pair_name_is_not_a_pattern(stubbed):
    ec2, stub = stubbed
    wanted = {"Filters": [{"Name": "key-name", "Values": ["mi*"]}]}
    stub.add_response("describe_key_pairs", {"KeyPairs": [{"KeyName": "mine"}]}, wanted)
    stub.add_response("describe_key_pairs", {"KeyPairs": [{"KeyName": "mine"}]})

    assert not ec2.has_key_pair("mi*")
    assert ec2.has_key_pair("mine")


def test_a_placement_group_name_is_not_a_pattern(stubbed):
    ec2, stub = stubbed
    wanted = {"Filters": [{"Name": "group-name", "Values": ["near"]}]}
    response = {"PlacementGroups": [{"GroupName": "near", "State": "available", "Strategy": "cluster"}]}
    stub.add_response("describe_placement_groups", response, wanted)
    stub.add_response("describe_placement_groups", response)

    assert ec2.placement_group("near") == PlacementGroup("near", "available", "cluster")
    assert ec2.placement_group("ne*") is None


SUBNET = {
    "SubnetId": "subnet-1",
    "VpcId": "vpc-1",
    "AvailabilityZone": "us-east-1b",
    "AvailableIpAddressCount": 7,
    "MapPublicIpOnLaunch": True,
}


@pytest.mark.parametrize(
    ("query", "filters"),
    [
        ({}, [{"Name": "default-for-az", "Values": ["true"]}]),
        ({"vpc_id": "vpc-1"}, [{"Name": "vpc-id", "Values": ["vpc-1"]}]),
        ({"subnet_id": "subnet-1"}, [{"Name": "subnet-id", "Values": ["subnet-1"]}]),
        (
            {"vpc_id": "vpc-1", "subnet_id": "subnet-1"},
            [{"Name": "vpc-id", "Values": ["vpc-1"]}, {"Name": "subnet-id", "Values": ["subnet-1"]}],
        ),
    ],
)
def test_subnets_are_requested_by_default_by_vpc_or_by_id(stubbed, query, filters):
    ec2, stub = stubbed
    other = {**SUBNET, "SubnetId": "subnet-0", "AvailabilityZone": "us-east-1a", "MapPublicIpOnLaunch": False}
    found = [SUBNET] if "subnet_id" in query else [SUBNET, other]
    stub.add_response("describe_subnets", {"Subnets": found}, {"Filters": filters})

    assert ec2.subnets(**query)[-1] == Subnet("subnet-1", "vpc-1", "us-east-1b", 7)


def test_a_subnet_id_is_not_a_pattern(stubbed):
    ec2, stub = stubbed
    stub.add_response("describe_subnets", {"Subnets": [SUBNET]})

    assert ec2.subnets(subnet_id="subnet-*") == ()


def test_security_groups_are_found_by_exact_name_in_all_vpcs(stubbed):
    ec2, stub = stubbed
    groups = [{"GroupId": f"sg-{n}", "GroupName": "mine", "VpcId": f"vpc-{n}"} for n in (1, 2)]
    wanted = {"Filters": [{"Name": "group-name", "Values": ["mine"]}]}
    stub.add_response("describe_security_groups", {"SecurityGroups": groups}, wanted)
    stub.add_response("describe_security_groups", {"SecurityGroups": groups})

    assert ec2.named_groups(name="mine") == (
        SecurityGroup("sg-1", "mine", "vpc-1"),
        SecurityGroup("sg-2", "mine", "vpc-2"),
    )
    assert ec2.named_groups(name="m?ne") == ()


def test_offerings_are_requested_by_zone(stubbed):
    ec2, stub = stubbed
    stub.add_response(
        "describe_instance_type_offerings",
        {"InstanceTypeOfferings": [{"InstanceType": "m6i.large", "Location": "us-east-1a"}]},
        {
            "LocationType": "availability-zone",
            "Filters": [{"Name": "instance-type", "Values": ["m6i.large", "m5.large"]}],
        },
    )

    assert ec2.offerings(("m6i.large", "m5.large")) == {("m6i.large", "us-east-1a")}


@pytest.mark.parametrize(
    ("operation", "method", "request_"),
    [
        ("CreateSecurityGroup", "create_security_group", {"GroupName": "g", "Description": "d"}),
        ("ImportKeyPair", "import_key_pair", {"KeyName": "k", "PublicKeyMaterial": b"ssh-ed25519 A"}),
        ("RunInstances", "run_instances", {"MinCount": 1, "MaxCount": 1}),
    ],
)
@pytest.mark.parametrize(
    ("code", "may"), [("DryRunOperation", True), ("UnauthorizedOperation", False), ("AccessDenied", False)]
)
def test_permissions_are_checked_by_dry_run_requests(stubbed, operation, method, request_, code, may):
    ec2, stub = stubbed
    stub.add_client_error(method, code, expected_params={**request_, "DryRun": True})

    assert (ec2.denial(operation, request_) is None) is may


def test_a_dry_run_response_that_is_neither_yes_nor_no_is_an_error(stubbed):
    ec2, stub = stubbed
    stub.add_client_error("run_instances", "InvalidSubnetID.NotFound", "no such subnet")

    with pytest.raises(BakeError, match="no such subnet"):
        ec2.denial("RunInstances", {"MinCount": 1, "MaxCount": 1})


def test_calls_to_other_services_are_events_with_the_service_s_name():
    calls = []
    with mock_aws():
        ec2 = api.connect(clouds.aws_cloud("us-east-1", {}), calls.append)
        ec2.quota("L-1216C47A")
        ec2.has_instance_profile("x")
        with pytest.raises(BakeError):
            ec2.prices.disk("gp3")
        ec2.has_key_pair("x")

    assert calls == [
        Called("servicequotas:GetServiceQuota"),
        Called("iam:GetInstanceProfile"),
        Called("pricing:GetProducts"),
        Called("DescribeKeyPairs"),
    ]


def test_instance_connect_endpoints_that_are_ready_or_being_updated_are_listed(stubbed):
    ec2, stub = stubbed
    ready = ["create-complete", "update-in-progress", "update-complete", "update-failed"]
    endpoint = {
        "InstanceConnectEndpointId": "eice-1",
        "VpcId": "vpc-1",
        "SubnetId": "subnet-1",
        "SecurityGroupIds": ["sg-7"],
        "PreserveClientIp": True,
    }
    stub.add_response(
        "describe_instance_connect_endpoints",
        {"InstanceConnectEndpoints": [endpoint]},
        {"Filters": [{"Name": "state", "Values": ready}]},
    )

    assert ec2.connect_endpoints() == (
        ConnectEndpoint("eice-1", "vpc-1", "subnet-1", ("sg-7",), keeps_address=True),
    )


@pytest.mark.parametrize(
    ("answer", "is_live"), [({"Hypervisor": "nitro"}, True), ({"Hypervisor": "xen"}, False), ({}, True)]
)
def test_only_nitro_and_bare_metal_instances_have_a_live_console(stubbed, answer, is_live):
    ec2, stub = stubbed
    kind = {
        "InstanceType": "x1.y",
        "VCpuInfo": {"DefaultVCpus": 1},
        "ProcessorInfo": {"SupportedArchitectures": ["x86_64"]},
    }
    stub.add_response("describe_instance_types", {"InstanceTypes": [{**kind, **answer}]})

    assert ec2.instance_types(["x1.y"])[0].has_live_console is is_live


@pytest.mark.parametrize("code", ["InvalidAMIID.NotFound", "InvalidAMIID.Malformed"])
def test_an_unknown_image_is_an_error(stubbed, code):
    ec2, stub = stubbed
    stub.add_client_error("describe_images", code)

    with pytest.raises(BakeError, match="the image ami-0 does not exist in this region"):
        ec2.image("ami-0")


def test_an_image_that_ec2_does_not_list_does_not_exist(stubbed):
    ec2, stub = stubbed
    stub.add_response("describe_images", {"Images": []}, {"ImageIds": ["ami-0"]})

    with pytest.raises(BakeError, match="the image ami-0 does not exist in this region"):
        ec2.image("ami-0")


def test_images_are_sorted_newest_first(stubbed):
    ec2, stub = stubbed
    images = [
        {"ImageId": "ami-1", "CreationDate": "2026-01-01T00:00:00.000Z"},
        {"ImageId": "ami-2", "CreationDate": "2026-02-01T00:00:00.000Z"},
    ]
    stub.add_response(
        "describe_images",
        {"Images": images},
        {
            "Owners": ["self"],
            "Filters": [{"Name": "state", "Values": ["available"]}],
            "IncludeDisabled": True,
        },
    )

    found = ec2.find_images(owners=["self"], filters={"state": "available"})

    assert [image.id for image in found] == ["ami-2", "ami-1"]


def test_default_subnets_are_sorted_by_zone_and_have_their_free_addresses(stubbed):
    ec2, stub = stubbed
    subnets = [
        {"SubnetId": "subnet-b", "VpcId": "vpc-1", "AvailabilityZone": "us-east-1b"},
        {
            "SubnetId": "subnet-a",
            "VpcId": "vpc-1",
            "AvailabilityZone": "us-east-1a",
            "AvailableIpAddressCount": 251,
            "MapPublicIpOnLaunch": True,
        },
    ]
    stub.add_response(
        "describe_subnets",
        {"Subnets": subnets},
        {"Filters": [{"Name": "default-for-az", "Values": ["true"]}]},
    )

    assert ec2.subnets() == (
        Subnet("subnet-a", "vpc-1", "us-east-1a", 251, is_public=True),
        Subnet("subnet-b", "vpc-1", "us-east-1b", 0, is_public=False),
    )


def test_an_instance_type_has_its_cpus_and_capabilities(stubbed):
    ec2, stub = stubbed
    stub.add_response(
        "describe_instance_types",
        {
            "InstanceTypes": [
                {
                    "InstanceType": "t2.micro",
                    "VCpuInfo": {"DefaultVCpus": 1},
                    "ProcessorInfo": {"SupportedArchitectures": ["i386", "x86_64"]},
                    "MemoryInfo": {"SizeInMiB": 1024},
                    "SupportedUsageClasses": ["on-demand"],
                }
            ]
        },
        {"InstanceTypes": ["t2.micro"]},
    )

    assert ec2.instance_types(["t2.micro"]) == (
        InstanceType("t2.micro", 1, ("i386", "x86_64"), 1024, can_be_spot=False),
    )


def test_an_unknown_instance_type_is_wrong_use(stubbed):
    ec2, stub = stubbed
    stub.add_client_error("describe_instance_types", "InvalidInstanceType", "no such type: [m0.huge]")

    with pytest.raises(UsageError, match="no such type"):
        ec2.instance_types(["m0.huge"])


@pytest.mark.parametrize("expires", [None, datetime(2030, 1, 1, tzinfo=UTC)])
def test_credentials_that_are_temporary_already_are_forwarded_as_they_are(expires):
    own = OwnCredentials("ASIA1", "secret", "token", expires)
    given = Ec2Queries(None, must_not_be_asked, lambda: own).temporary_credentials()

    assert (given.access_key, given.secret_key, given.token) == ("ASIA1", "secret", "token")
    assert given.expires == expires or 800 < (given.expires - datetime.now(UTC)).total_seconds() <= 900


def must_not_be_asked(service):
    raise AssertionError(service)
