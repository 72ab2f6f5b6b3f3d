"""RunInstances in the local cloud follows EC2's documentation."""

import json

import pytest

from fake_local_cloud import DEBIAN, refusal

SPOT = {"MarketType": "spot", "SpotOptions": {"SpotInstanceType": "one-time"}}


def tags(kind: str, **values: str) -> dict:
    return {"ResourceType": kind, "Tags": [{"Key": key, "Value": value} for key, value in values.items()]}


def make_profile(cloud, name: str = "reader") -> dict:
    iam = cloud.client("iam")
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps({"Statement": []}))
    profile = iam.create_instance_profile(InstanceProfileName=name)["InstanceProfile"]
    iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
    return profile


# Spot


def test_spot_instances_are_described_with_a_request_each(cloud):
    instances = cloud.run(MinCount=2, MaxCount=2, InstanceMarketOptions=SPOT)

    seen = [cloud.describe(instance) for instance in instances]
    assert [instance["InstanceLifecycle"] for instance in instances + seen] == ["spot"] * 4
    requests = [instance["SpotInstanceRequestId"] for instance in instances]
    assert [instance["SpotInstanceRequestId"] for instance in seen] == requests
    assert len(set(requests)) == 2
    assert all(request.startswith("sir-") for request in requests)


def test_on_demand_instances_have_no_spot_fields(cloud):
    instance = cloud.run()[0]

    assert {"InstanceLifecycle", "SpotInstanceRequestId"} & set(instance) == set()


def test_spot_instances_can_be_terminated_but_not_stopped(cloud):
    instance = cloud.running(InstanceMarketOptions=SPOT)

    assert refusal(cloud.ec2.stop_instances, InstanceIds=[instance["InstanceId"]]) == "UnsupportedOperation"
    cloud.terminate(instance)
    cloud.until(instance, "terminated")


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"MarketType": "spot", "SpotOptions": {"MaxPrice": "0.000001"}}, "SpotMaxPriceTooLow"),
        ({"MarketType": "spot", "SpotOptions": {"MaxPrice": "cheap"}}, "InvalidParameterValue"),
        ({"MarketType": "spot", "SpotOptions": {"SpotInstanceType": "persistent"}}, "UnsupportedOperation"),
        (
            {"MarketType": "spot", "SpotOptions": {"InstanceInterruptionBehavior": "stop"}},
            "InvalidParameterCombination",
        ),
        ({"MarketType": "capacity-block"}, "UnsupportedOperation"),
    ],
)
def test_unsupported_spot_options_are_refused(cloud, options, code):
    assert refusal(cloud.run, InstanceMarketOptions=options) == code


# Attributes of instances


def test_every_instance_of_a_launch_has_its_profile(cloud):
    profile = make_profile(cloud)
    for wording in ({"Name": "reader"}, {"Arn": profile["Arn"]}):
        instances = cloud.run(MinCount=2, MaxCount=2, IamInstanceProfile=wording)

        seen = [cloud.describe(instance) for instance in instances]
        assert [instance["IamInstanceProfile"] for instance in instances + seen] == [
            {"Arn": profile["Arn"], "Id": profile["InstanceProfileId"]}
        ] * 4


def test_an_unknown_instance_profile_is_refused_with_ec2_s_message(cloud):
    with pytest.raises(cloud.ec2.exceptions.ClientError) as caught:
        cloud.run(IamInstanceProfile={"Name": "nobody"})

    assert caught.value.response["Error"] == {
        "Code": "InvalidParameterValue",
        "Message": "Value (nobody) for parameter iamInstanceProfile.name is invalid. "
        "Invalid IAM Instance Profile name",
    }


def test_a_key_pair_must_exist(cloud):
    assert refusal(cloud.run, KeyName="laptop") == "InvalidKeyPair.NotFound"
    cloud.ec2.create_key_pair(KeyName="laptop", KeyType="ed25519")

    assert cloud.run(KeyName="laptop")[0]["KeyName"] == "laptop"


def test_tags_are_put_on_everything_that_a_launch_creates(cloud):
    specifications = [
        tags("network-interface", of="interface"),
        tags("instance", of="instance"),
        tags("volume", of="volume"),
        tags("spot-instances-request", of="request"),
    ]
    instance = cloud.run(TagSpecifications=specifications, InstanceMarketOptions=SPOT)[0]

    of = [{"Name": "attachment.instance-id", "Values": [instance["InstanceId"]]}]
    volume = cloud.ec2.describe_volumes(Filters=of)["Volumes"][0]
    interface = cloud.ec2.describe_network_interfaces(Filters=of)["NetworkInterfaces"][0]
    request = [{"Name": "resource-id", "Values": [instance["SpotInstanceRequestId"]]}]
    found = cloud.ec2.describe_tags(Filters=request)["Tags"]
    assert [instance["Tags"], volume["Tags"], interface["TagSet"]] == [
        [{"Key": "of", "Value": of}] for of in ("instance", "volume", "interface")
    ]
    assert [tag["Value"] for tag in found] == ["request"]


@pytest.mark.parametrize("place", ["interface", "instance"])
def test_an_instance_s_groups_are_described_wherever_they_were_requested(cloud, place):
    group = cloud.ec2.create_security_group(GroupName="dask", Description="dask")["GroupId"]
    parameters = {"SecurityGroupIds": [group]}
    if place == "interface":
        parameters = {"NetworkInterfaces": [{"DeviceIndex": 0, "Groups": [group]}]}

    instance = cloud.run(**parameters)[0]

    expected = [{"GroupId": group, "GroupName": "dask"}]
    assert (instance["SecurityGroups"], instance["NetworkInterfaces"][0]["Groups"]) == (expected, expected)
    for name in ("instance.group-id", "network-interface.group-id"):
        found = cloud.ec2.describe_instances(Filters=[{"Name": name, "Values": [group]}])
        assert len(found["Reservations"]) == 1


def test_an_instance_without_a_group_is_in_the_default_one(cloud):
    assert [group["GroupName"] for group in cloud.run()[0]["SecurityGroups"]] == ["default"]


def test_a_disk_keeps_its_initialization_rate(cloud):
    disk = {"DeviceName": "/dev/xvda", "Ebs": {"VolumeType": "gp3", "VolumeInitializationRate": 200}}
    instance = cloud.run(BlockDeviceMappings=[disk])[0]

    of = [{"Name": "attachment.instance-id", "Values": [instance["InstanceId"]]}]
    assert cloud.ec2.describe_volumes(Filters=of)["Volumes"][0]["VolumeInitializationRate"] == 200


@pytest.mark.parametrize(
    ("disk", "code"),
    [
        ({"VolumeInitializationRate": 99}, "InvalidParameterValue"),
        ({"VolumeInitializationRate": 301}, "InvalidParameterValue"),
        ({"VolumeType": "gp9"}, "InvalidParameterValue"),
        ({"VolumeSize": 1}, "InvalidBlockDeviceMapping"),
    ],
)
def test_invalid_disk_options_are_refused(cloud, disk, code):
    assert refusal(cloud.run, BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": disk}]) == code


def test_an_instance_is_found_by_client_token_and_reservation(cloud):
    cloud.run()
    answer = cloud.ec2.run_instances(ImageId=DEBIAN.id, MinCount=1, MaxCount=1, ClientToken="mine")

    for name, value in (("client-token", "mine"), ("reservation-id", answer["ReservationId"])):
        found = cloud.ec2.describe_instances(Filters=[{"Name": name, "Values": [value]}])["Reservations"]
        assert [instance["InstanceId"] for instance in found[0]["Instances"]] == [
            answer["Instances"][0]["InstanceId"]
        ]
    assert answer["Instances"][0]["ClientToken"] == "mine"


def test_termination_protection_fails_the_request_for_all_its_instances(cloud):
    protected, other = cloud.running(DisableApiTermination=True), cloud.running()

    ids = [other["InstanceId"], protected["InstanceId"]]
    assert refusal(cloud.ec2.terminate_instances, InstanceIds=ids) == "OperationNotPermitted"
    assert [cloud.state(other), cloud.state(protected)] == ["running", "running"]
    cloud.ec2.modify_instance_attribute(InstanceId=ids[1], DisableApiTermination={"Value": False})
    cloud.terminate(protected)


# Conflicting parameters


def test_a_group_of_another_network_than_the_subnet_is_refused(cloud):
    vpc = cloud.ec2.create_vpc(CidrBlock="10.77.0.0/16")["Vpc"]["VpcId"]
    group = cloud.ec2.create_security_group(GroupName="dask", Description="dask", VpcId=vpc)["GroupId"]

    assert refusal(cloud.run, SecurityGroupIds=[group]) == "InvalidParameter"


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"SecurityGroupIds": ["sg-0fffffffffffffff0"]}, "InvalidGroup.NotFound"),
        (
            {"NetworkInterfaces": [{"DeviceIndex": 0, "Groups": ["sg-0fffffffffffffff0"]}]},
            "InvalidGroup.NotFound",
        ),
        ({"SecurityGroups": ["nobody's"]}, "InvalidGroup.NotFound"),
        ({"InstanceType": "t3.huge"}, "InvalidParameterValue"),
        ({"InstanceType": "t4g.micro"}, "InvalidParameterValue"),
        ({"Placement": {"GroupName": "tight"}}, "InvalidPlacementGroup.Unknown"),
        (
            {"SecurityGroups": ["default"], "NetworkInterfaces": [{"DeviceIndex": 0}]},
            "InvalidParameterCombination",
        ),
        ({"LaunchTemplate": {"LaunchTemplateName": "mine"}}, "UnsupportedOperation"),
        ({"HibernationOptions": {"Configured": True}}, "UnsupportedOperation"),
        ({"CpuOptions": {"CoreCount": 1, "ThreadsPerCore": 1}}, "UnsupportedOperation"),
        ({"PrivateIpAddress": "10.9.0.9"}, "UnsupportedOperation"),
        (
            {"NetworkInterfaces": [{"DeviceIndex": 0}, {"DeviceIndex": 1}]},
            "UnsupportedOperation",
        ),
    ],
)
def test_missing_or_conflicting_resources_are_refused_and_nothing_is_launched(cloud, parameters, code):
    assert refusal(cloud.run, **parameters) == code
    assert cloud.ec2.describe_instances()["Reservations"] == []


def test_a_client_token_is_valid_in_the_requested_zone(cloud):
    first, second = (
        cloud.run(ClientToken="once", Placement={"AvailabilityZone": zone})[0]
        for zone in ("us-east-1a", "us-east-1b")
    )

    assert first["InstanceId"] != second["InstanceId"]


def test_empty_parameters_are_ignored(cloud):
    empty = {"Placement": {"AvailabilityZone": ""}, "IamInstanceProfile": {"Name": ""}, "KeyName": ""}

    assert len(cloud.run(**empty)) == 1


# Tags


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"aws:mine": "1"}, "InvalidParameterValue"),
        ({"AWS:mine": "1"}, "InvalidParameterValue"),
        ({"k" * 129: "1"}, "InvalidParameterValue"),
        ({"key": "v" * 257}, "InvalidParameterValue"),
        ({f"key-{number}": "1" for number in range(51)}, "TagLimitExceeded"),
    ],
)
def test_tags_have_ec2_s_limits(cloud, values, code):
    instance = cloud.run()[0]["InstanceId"]
    listed = [{"Key": key, "Value": value} for key, value in values.items()]

    assert refusal(cloud.ec2.create_tags, Resources=[instance], Tags=listed) == code
    for kind in ("instance", "volume"):
        assert refusal(cloud.run, TagSpecifications=[tags(kind, **values)]) == code
    group = {"GroupName": "dask", "Description": "dask"}
    parameters = [tags("security-group", **values)]
    assert refusal(cloud.ec2.create_security_group, **group, TagSpecifications=parameters) == code


def test_tags_of_maximal_length_are_accepted(cloud):
    values = {"k" * 128: "v" * 256, **{f"key-{number}": "1" for number in range(49)}}

    assert len(cloud.run(TagSpecifications=[tags("instance", **values)])[0]["Tags"]) == 50


def test_duplicate_tag_keys_and_other_resource_types_are_refused(cloud):
    twice = {"ResourceType": "instance", "Tags": [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]}

    assert refusal(cloud.run, TagSpecifications=[twice]) == "InvalidParameterValue"
    assert refusal(cloud.run, TagSpecifications=[tags("image", a="1")]) == "InvalidParameterValue"
    request = [tags("spot-instances-request", a="1")]
    assert refusal(cloud.run, TagSpecifications=request) == "InvalidParameterCombination"


@pytest.mark.parametrize(
    ("resource", "code"),
    [
        ("i-0fffffffffffffff0", "InvalidInstanceID.NotFound"),
        ("sg-0fffffffffffffff0", "InvalidGroup.NotFound"),
        ("vol-0fffffffffffffff0", "InvalidVolume.NotFound"),
        ("ami-0fffffffffffffff0", "InvalidAMIID.NotFound"),
    ],
)
def test_missing_resources_cannot_be_tagged(cloud, resource, code):
    assert refusal(cloud.ec2.create_tags, Resources=[resource], Tags=[{"Key": "a", "Value": "1"}]) == code


# Dry runs


def test_a_dry_run_of_a_valid_launch_succeeds_and_launches_nothing(cloud):
    assert refusal(cloud.run, DryRun=True, ClientToken="once") == "DryRunOperation"
    assert cloud.ec2.describe_instances()["Reservations"] == []
    assert len(cloud.run(ClientToken="once")) == 1


def test_a_dry_run_of_an_invalid_launch_is_refused(cloud):
    assert refusal(cloud.run, DryRun=True, KeyName="laptop") == "InvalidKeyPair.NotFound"


def test_dry_runs_change_nothing(cloud):
    group = {"GroupName": "dask", "Description": "dask"}
    assert refusal(cloud.ec2.create_security_group, DryRun=True, **group) == "DryRunOperation"
    group_id = cloud.ec2.create_security_group(**group)["GroupId"]
    rule = {"GroupId": group_id, "IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "CidrIp": "10.0.0.0/8"}
    assert refusal(cloud.ec2.authorize_security_group_ingress, DryRun=True, **rule) == "DryRunOperation"
    instance = cloud.running()
    ids = {"InstanceIds": [instance["InstanceId"]]}
    assert refusal(cloud.ec2.terminate_instances, DryRun=True, **ids) == "DryRunOperation"

    assert cloud.describe(instance) == instance
    groups = cloud.ec2.describe_security_groups(GroupIds=[group_id])["SecurityGroups"]
    assert groups[0]["IpPermissions"] == []


def test_a_group_name_like_an_id_is_refused(cloud):
    group = {"GroupName": "sg-mine", "Description": "dask"}

    assert refusal(cloud.ec2.create_security_group, **group) == "InvalidParameterValue"


# Terminated instances


def test_terminated_instances_are_described_for_a_limited_time(cloud):
    first = cloud.running()
    cloud.terminate(first)
    cloud.until(first, "terminated")
    for _ in range(2):
        more = cloud.run(MinCount=100, MaxCount=100)
        cloud.terminate(*more)
        for instance in more:
            cloud.until(instance, "terminated")

    ids = {"InstanceIds": [first["InstanceId"]]}
    assert refusal(cloud.ec2.describe_instances, **ids) == "InvalidInstanceID.NotFound"
    assert refusal(cloud.ec2.terminate_instances, **ids) == "InvalidInstanceID.NotFound"
    assert cloud.running()["PrivateIpAddress"] == "10.9.0.4"
