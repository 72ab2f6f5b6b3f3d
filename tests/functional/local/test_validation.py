"""The local cloud refuses invalid and unsupported requests as EC2 documents, never with an HTML page."""

from typing import Any

import pytest
import requests

from dask_bake.local.signature import signed_headers
from fake_local_cloud import DEBIAN, refusal
from isolation import KEY_PAIR

SPOT = {"InstanceMarketOptions": {"MarketType": "spot"}}
ANYWHERE = [{"CidrIp": "0.0.0.0/0"}]


def make_group(cloud, name: str = "dask") -> str:
    return str(cloud.ec2.create_security_group(GroupName=name, Description="dask")["GroupId"])


def tcp(first: int, last: int, **more: Any) -> dict[str, Any]:
    return {"IpProtocol": "tcp", "FromPort": first, "ToPort": last, "IpRanges": ANYWHERE, **more}


# Rules of security groups


@pytest.mark.parametrize(
    "rule",
    [
        tcp(80, 22),
        tcp(0, 65536),
        tcp(-1, -1),
        {"IpProtocol": "udp", "IpRanges": ANYWHERE},
        {"IpProtocol": "6", "FromPort": 22, "IpRanges": ANYWHERE},
        tcp(22, 22, IpProtocol="telnet"),
        tcp(300, -1, IpProtocol="icmp"),
        tcp(8, 256, IpProtocol="icmp"),
        tcp(-2, -1, IpProtocol="1"),
        tcp(-1, 5, IpProtocol="ICMP"),
        tcp(0, 65535, IpProtocol="icmpv6"),
        tcp(256, 0, IpProtocol="58"),
        tcp(22, 22, IpRanges=[{"CidrIp": "10.0.0.0/33"}]),
        tcp(22, 22, IpRanges=[{"CidrIp": "10.0.0/24"}]),
        tcp(22, 22, IpRanges=[], Ipv6Ranges=[{"CidrIpv6": "2001:db8::/129"}]),
    ],
)
@pytest.mark.parametrize("direction", ["ingress", "egress"])
def test_an_invalid_rule_is_refused_as_by_ec2(cloud, rule, direction):
    authorize = getattr(cloud.ec2, f"authorize_security_group_{direction}")

    assert refusal(authorize, GroupId=make_group(cloud), IpPermissions=[rule]) == "InvalidParameterValue"


@pytest.mark.parametrize(
    "rule",
    [
        tcp(0, 65535),
        {"IpProtocol": "-1", "IpRanges": ANYWHERE},
        {"IpProtocol": "icmp", "FromPort": -1, "ToPort": -1, "IpRanges": ANYWHERE},
        {"IpProtocol": "icmp", "FromPort": 255, "ToPort": 255, "IpRanges": ANYWHERE},
        {"IpProtocol": "icmp", "FromPort": 8, "ToPort": -1, "IpRanges": ANYWHERE},
        {"IpProtocol": "50", "IpRanges": ANYWHERE},
        {"IpProtocol": "50", "FromPort": 99999, "ToPort": -7, "IpRanges": ANYWHERE},
    ],
)
def test_a_valid_rule_is_accepted(cloud, rule):
    group = make_group(cloud)

    cloud.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])

    described = cloud.ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["IpPermissions"]
    assert [each["IpProtocol"] for each in described] == [rule["IpProtocol"]]


def test_host_bits_of_a_cidr_block_are_cleared(cloud):
    group = make_group(cloud)
    rule = tcp(22, 22, IpRanges=[{"CidrIp": "100.68.0.18/18"}])
    plain = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "CidrIp": "100.68.0.0/18"}
    authorize = cloud.ec2.authorize_security_group_ingress
    authorize(GroupId=group, IpPermissions=[rule])

    described = cloud.ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["IpPermissions"]
    assert [each["IpRanges"] for each in described] == [[{"CidrIp": "100.68.0.0/18"}]]
    assert refusal(authorize, GroupId=group, **plain) == "InvalidPermission.Duplicate"
    cloud.ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=[rule])
    authorize(GroupId=group, **plain)


@pytest.mark.parametrize("name", ["sg-dask", "däsk", "dask?", "d" * 256])
def test_a_group_name_follows_ec2_s_rules(cloud, name):
    make_group(cloud, "dask 1.0 _-:/()#,@[]+=&;{}!$*")

    create = cloud.ec2.create_security_group
    assert refusal(create, GroupName=name, Description="dask") == "InvalidParameterValue"
    assert refusal(create, GroupName="dask", Description=name.replace("sg-", "?")) == "InvalidParameterValue"


# Ids


@pytest.mark.parametrize("instance_id", ["i-zzz", "i-123", "i-0123456789ABCDEF0", "instance"])
@pytest.mark.parametrize(
    "operation",
    ["describe_instances", "describe_instance_status", "terminate_instances", "stop_instances"],
)
def test_a_malformed_instance_id_and_an_unknown_one_have_different_errors(cloud, operation, instance_id):
    call = getattr(cloud.ec2, operation)

    assert refusal(call, InstanceIds=[instance_id]) == "InvalidInstanceID.Malformed"
    for unknown in ("i-0fffffffffffffff0", "i-0ffffff0"):
        assert refusal(call, InstanceIds=[unknown]) == "InvalidInstanceID.NotFound"


@pytest.mark.parametrize(
    ("operation", "parameters", "code"),
    [
        ("get_console_output", {"InstanceId": "i-zzz"}, "InvalidInstanceID.Malformed"),
        ("create_image", {"InstanceId": "i-zzz", "Name": "dask"}, "InvalidInstanceID.Malformed"),
        ("create_tags", {"Resources": ["i-zzz"], "Tags": []}, "InvalidInstanceID.Malformed"),
        ("describe_images", {"ImageIds": ["debian"]}, "InvalidAMIID.Malformed"),
        ("deregister_image", {"ImageId": "debian"}, "InvalidAMIID.Malformed"),
        ("describe_security_groups", {"GroupIds": ["dask"]}, "InvalidGroupId.Malformed"),
        ("delete_security_group", {"GroupId": "dask"}, "InvalidGroupId.Malformed"),
        ("delete_snapshot", {"SnapshotId": "snap"}, "InvalidSnapshotID.Malformed"),
        ("describe_volumes", {"VolumeIds": ["vol"]}, "InvalidVolumeID.Malformed"),
    ],
)
def test_malformed_ids_of_other_resources_are_refused(cloud, operation, parameters, code):
    assert refusal(getattr(cloud.ec2, operation), **parameters) == code


@pytest.mark.parametrize("image", ["debian", "resolve:ssm:/aws/service/debian/release/12/latest/amd64"])
def test_a_launch_accepts_only_ids_of_images_and_groups(cloud, image):
    assert refusal(cloud.run, ImageId=image) == "InvalidAMIID.Malformed"
    assert refusal(cloud.run, SecurityGroupIds=["dask"]) == "InvalidGroupId.Malformed"


# Operations, filters, regions


@pytest.mark.parametrize(
    ("service", "operation", "parameters"),
    [
        ("ec2", "get_serial_console_access_status", {}),
        ("ec2", "get_image_block_public_access_state", {}),
        ("ec2", "enable_image_deregistration_protection", {"ImageId": DEBIAN.id}),
        ("ec2", "describe_capacity_reservations", {}),
        ("ec2", "get_spot_placement_scores", {"TargetCapacity": 1}),
        ("sts", "decode_authorization_message", {"EncodedMessage": "secret"}),
        ("ssm", "start_session", {"Target": "i-0fffffffffffffff0"}),
    ],
)
def test_unsupported_actions_are_refused_as_invalid(cloud, service, operation, parameters):
    assert refusal(getattr(cloud.client(service), operation), **parameters) == "InvalidAction"


@pytest.mark.parametrize(("action", "code"), [("LaunchInstances", "InvalidAction"), ("", "MissingAction")])
def test_unknown_actions_are_refused_in_ec2_s_format(cloud, action, code):
    body = f"Action={action}".encode()
    headers = signed_headers(KEY_PAIR, "POST", cloud.url, body, service="ec2")
    answer = requests.post(cloud.url, data=body, headers=headers, timeout=60)

    assert (answer.status_code, answer.headers["Content-Type"]) == (400, "text/xml; charset=utf-8")
    assert f"<Code>{code}</Code>" in answer.text


@pytest.mark.parametrize(
    "operation",
    [
        "describe_images",
        "describe_instances",
        "describe_key_pairs",
        "describe_security_groups",
        "describe_spot_instance_requests",
        "describe_subnets",
        "describe_volumes",
    ],
)
def test_an_unknown_filter_is_refused(cloud, operation):
    cloud.run(**SPOT)
    cloud.ec2.create_key_pair(KeyName="laptop", KeyType="ed25519")

    call = getattr(cloud.ec2, operation)
    assert refusal(call, Filters=[{"Name": "colour", "Values": ["red"]}]) == "InvalidParameterValue"


def test_an_unknown_region_is_refused(cloud):
    nowhere = cloud.client("ec2", "eu-middle-9")

    assert refusal(nowhere.describe_instances) == "UnsupportedOperation"
    assert refusal(nowhere.run_instances, ImageId=DEBIAN.id, MinCount=1, MaxCount=1) == "UnsupportedOperation"


# Spot requests


def request_of(cloud, **parameters: Any) -> dict[str, Any]:
    return dict(cloud.ec2.describe_spot_instance_requests(**parameters)["SpotInstanceRequests"][0])


def test_a_spot_instance_has_a_request_that_names_it(cloud):
    tags = [{"Key": "owner", "Value": "dask & co"}]
    specification = [{"ResourceType": "spot-instances-request", "Tags": tags}]
    instance = cloud.running(TagSpecifications=specification, **SPOT)
    cloud.running()

    requests = cloud.ec2.describe_spot_instance_requests()["SpotInstanceRequests"]
    request = requests[0]
    assert (len(requests), request["SpotInstanceRequestId"], request["InstanceId"]) == (
        1,
        instance["SpotInstanceRequestId"],
        instance["InstanceId"],
    )
    assert (request["Type"], request["State"], request["Status"]["Code"]) == (
        "one-time",
        "active",
        "fulfilled",
    )
    assert (request["LaunchedAvailabilityZone"], request["Tags"]) == ("us-east-1a", tags)
    for name, value in (("instance-id", instance["InstanceId"]), ("state", "active"), ("tag-key", "owner")):
        assert request_of(cloud, Filters=[{"Name": name, "Values": [value]}]) == request


@pytest.mark.parametrize(
    ("end", "code"), [("terminate", "by-user"), ("interrupt", "no-capacity"), ("fail", "by-service")]
)
def test_a_spot_request_is_closed_with_its_instance_and_has_the_reason(cloud, end, code):
    instance = cloud.running(**SPOT)
    if end == "terminate":
        cloud.terminate(instance)
    else:
        fault = {"kind": "spot-notice", "notice": 0} if end == "interrupt" else {"kind": "terminated"}
        cloud.fault(**fault, instance=instance["InstanceId"])
    cloud.until(instance, "terminated")

    request = request_of(cloud, SpotInstanceRequestIds=[instance["SpotInstanceRequestId"]])

    assert (request["State"], request["Status"]["Code"]) == ("closed", f"instance-terminated-{code}")


def test_a_cancelled_spot_request_leaves_its_instance(cloud):
    instance = cloud.running(**SPOT)
    ids = {"SpotInstanceRequestIds": [instance["SpotInstanceRequestId"]]}

    cancelled = cloud.ec2.cancel_spot_instance_requests(**ids)["CancelledSpotInstanceRequests"]

    assert [(each["SpotInstanceRequestId"], each["State"]) for each in cancelled] == [
        (instance["SpotInstanceRequestId"], "cancelled")
    ]
    request = request_of(cloud, **ids)
    assert (request["State"], request["Status"]["Code"]) == (
        "cancelled",
        "request-canceled-and-instance-running",
    )
    assert cloud.state(instance) == "running"


def test_an_unknown_spot_request_is_refused(cloud):
    ids = {"SpotInstanceRequestIds": ["sir-12345678"]}
    for call in (cloud.ec2.describe_spot_instance_requests, cloud.ec2.cancel_spot_instance_requests):
        assert refusal(call, **ids) == "InvalidSpotInstanceRequestID.NotFound"
    with_a_request = cloud.running(**SPOT)
    elsewhere = cloud.client("ec2", "eu-west-1")
    assert elsewhere.describe_spot_instance_requests()["SpotInstanceRequests"] == []
    assert cloud.state(with_a_request) == "running"


# Metadata options


def test_metadata_options_of_a_launch_are_described_and_applied(cloud):
    options = {
        "HttpTokens": "required",
        "HttpEndpoint": "disabled",
        "HttpPutResponseHopLimit": 3,
        "InstanceMetadataTags": "enabled",
    }
    instance = cloud.running(MetadataOptions=options)

    described, facts = instance["MetadataOptions"], cloud.facts(instance)
    assert {name: described[name] for name in options} == options
    assert (facts.token_required, facts.is_enabled, facts.hop_limit, facts.shows_tags) == (
        True,
        False,
        3,
        True,
    )


def test_metadata_options_of_a_running_instance_can_be_changed(cloud):
    instance = cloud.running(MetadataOptions={"HttpTokens": "optional"})
    assert not cloud.facts(instance).token_required

    cloud.ec2.modify_instance_metadata_options(InstanceId=instance["InstanceId"], HttpTokens="required")

    assert cloud.facts(instance).token_required
    assert cloud.facts(instance).is_enabled


@pytest.mark.parametrize(
    "options",
    [
        {"HttpTokens": "maybe"},
        {"HttpEndpoint": "off"},
        {"HttpPutResponseHopLimit": 0},
        {"HttpPutResponseHopLimit": 65},
        {"InstanceMetadataTags": "yes"},
    ],
)
def test_unknown_metadata_options_are_refused(cloud, options):
    instance = cloud.running()

    assert refusal(cloud.run, MetadataOptions=options) == "InvalidParameterValue"
    modify = cloud.ec2.modify_instance_metadata_options
    assert refusal(modify, InstanceId=instance["InstanceId"], **options) == "InvalidParameterValue"
    assert refusal(cloud.run, InstanceInitiatedShutdownBehavior="explode") == "InvalidParameterValue"


@pytest.mark.parametrize("character", ["\x1b", "\x00", "\n", "\t", "\x7f", "\x9b", "\u202e", "\u200b"])
@pytest.mark.parametrize("place", ["Key", "Value"])
def test_tags_with_control_characters_are_refused(cloud, place, character):
    instance = cloud.running()["InstanceId"]
    tag = {"Key": "Name", "Value": "a", place: f"a{character}b"}

    assert refusal(cloud.ec2.create_tags, Resources=[instance], Tags=[tag]) == "InvalidParameterValue"
    specification = {"ResourceType": "instance", "Tags": [tag]}
    assert refusal(cloud.run, TagSpecifications=[specification]) == "InvalidParameterValue"
    assert len(cloud.ec2.describe_instances()["Reservations"]) == 1


@pytest.mark.parametrize("character", ["\x1b", "\x00", "\x08", "\ufffe"])
def test_what_xml_cannot_hold_is_refused_in_every_parameter(cloud, character):
    """Else no later response that has it could be read."""
    instance = cloud.running()["InstanceId"]
    text = f"a{character}b"

    assert (
        refusal(cloud.ec2.create_image, InstanceId=instance, Name="abc", Description=text)
        == "InvalidParameterValue"
    )
    wanted = {"GroupName": text, "Description": "x"}
    assert refusal(cloud.ec2.create_security_group, **wanted) == "InvalidParameterValue"
    filters = [{"Name": f"tag:{text}", "Values": ["x"]}]
    assert refusal(cloud.ec2.describe_instances, Filters=filters) == "InvalidParameterValue"


def test_tags_in_any_script_are_accepted(cloud):
    instance = cloud.running()["InstanceId"]

    cloud.ec2.create_tags(Resources=[instance], Tags=[{"Key": "Größe", "Value": "日本語 + - = . _ : / @"}])

    assert {"Key": "Größe", "Value": "日本語 + - = . _ : / @"} in cloud.describe({"InstanceId": instance})[
        "Tags"
    ]
