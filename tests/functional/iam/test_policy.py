"""The policies and the requests of each command match: all requests are allowed, and no others."""

import json
import time
from dataclasses import replace

import boto3
import pytest
from moto import mock_aws
from moto.core import set_initial_no_auth_action_count

from baking import Brought
from dask_bake import clouds
from dask_bake.assets import packer_directory
from dask_bake.bake.bake import bake
from dask_bake.bake.context import BakeContext
from dask_bake.bake.options import BakeOptions
from dask_bake.bake.verify import Verifier
from dask_bake.cli.main import run
from dask_bake.commands import images
from dask_bake.commands import launch as launch_command
from dask_bake.ec2 import api
from dask_bake.ec2.images import connect_images
from dask_bake.errors import BakeError, NotReadyError
from dask_bake.iam.grants import Extra, Purpose
from dask_bake.iam.policy import policy
from dask_bake.models.cloud import Connect
from dask_bake.models.tags import Tag, Verified
from dask_bake.options.launch import LaunchOptions
from dask_bake.ssh.transport import Transport
from dask_bake.view.terminal import Terminal
from fakes import Ec2WithHostKey, a_cluster, a_target
from functional.images.test_images_local_cloud import bake as a_baked_image
from iam_actions import PACKER, PACKER_NEWER, PACKER_ON_AWS, needed, permitted, recording
from isolation import KEY_PAIR
from security.clusters import OneProcessRegistered

OPTIONS = LaunchOptions(count=3, cidr=("192.0.2.7/32",))
CLOUD = clouds.aws_cloud("us-east-1", {})
CARRYING = ("ssmmessages:OpenDataChannel", "ssm:ResumeSession", "ssm:TerminateSession")
"""Actions of Session Manager's plugin in a session, without a boto3 client."""
IMAGE_TAGS = {Tag.MANAGED: "true", Tag.DIGEST: "abc", Tag.VERIFIED: Verified.YES}


@pytest.fixture
def aws():
    with mock_aws():
        client = boto3.client("ec2", region_name="us-east-1")
        image_id = client.register_image(Name="dask-1", RootDeviceName="/dev/xvda")["ImageId"]
        tags = [{"Key": key, "Value": value} for key, value in IMAGE_TAGS.items()]
        client.create_tags(Resources=[image_id], Tags=tags)
        yield client


def launch(options: LaunchOptions = OPTIONS, *, dry_run: bool = False) -> int:
    terminal = Terminal()
    edge = Ec2WithHostKey(api.connect(CLOUD, terminal.notify))
    return launch_command.run(
        options,
        CLOUD,
        edge,
        terminal,
        dry_run=dry_run,
        json_output=True,
        make_connection=lambda *_: OneProcessRegistered(edge),
    )


def launch_to_down() -> None:
    launch(dry_run=True)
    assert launch() == 0
    for command in (["ls"], ["status"], ["allow-me", "--cidr", "192.0.2.9/32"], ["down", "--yes"]):
        assert run(command) == 0


def test_launch_to_down_needs_exactly_the_actions_of_the_launch_policy(aws):
    with recording() as requests:
        launch_to_down()

    assert needed(requests) == permitted(Purpose.LAUNCH)


@pytest.mark.parametrize(
    ("extra", "options"),
    [
        (Extra.SPOT, {"spot": True}),
        (Extra.PROFILE, {"iaminstance_name": "reader"}),
        (Extra.KEYNAME, {"keyname": "mine"}),
        (Extra.NO_PROVISION, {"provision": False}),
        (Extra.SECURITY_GROUP, {"security_group": "storage"}),
    ],
)
def test_an_option_needs_the_actions_that_the_policy_adds_for_it(aws, extra, options):
    boto3.client("iam").create_instance_profile(InstanceProfileName="reader")
    aws.create_key_pair(KeyName="mine")
    (vpc,) = aws.describe_vpcs()["Vpcs"]
    aws.create_security_group(GroupName="storage", Description="of mine", VpcId=vpc["VpcId"])
    with recording() as requests:
        assert launch(replace(OPTIONS, **options)) == 0
        assert run(["down", "--yes"]) == 0

    assert needed(requests) <= permitted(Purpose.LAUNCH, extra)
    assert permitted(extra) - permitted(Purpose.LAUNCH) <= needed(requests)


def test_resources_are_tagged_as_the_policy_s_conditions_require(aws):
    """The conditions require tags on every kind of resource, and IMDSv2."""
    with recording() as requests:
        assert launch(replace(OPTIONS, spot=True, provision=False)) == 0

    made = {
        "CreateSecurityGroup": ["security-group"],
        "ImportKeyPair": ["key-pair"],
        "RunInstances": ["instance", "volume"],
    }
    making = [each for each in requests if each.operation in made]
    assert {each.operation for each in making} == set(made)
    for each in making:
        for kind in made[each.operation]:
            assert each.tagged(kind)[Tag.MANAGED] == "true"
        if each.operation == "RunInstances":
            assert each.parameters["MetadataOptions.HttpTokens"] == "required"
    (spot,) = {each.parameters.get("InstanceMarketOptions.MarketType") for each in making} - {None}
    workers = [each for each in making if each.parameters.get("InstanceMarketOptions.MarketType") == spot]
    assert all(each.tagged("spot-instances-request")[Tag.MANAGED] == "true" for each in workers)


@pytest.mark.parametrize(
    ("extra", "options", "besides"),
    [
        (Extra.PLACEMENT_GROUP, {"placement_group": "near"}, {"ec2:RunInstances"}),
        (Extra.EICE, {"connect": Connect.EICE}, {"ec2-instance-connect:OpenTunnel"}),
    ],
)
def test_an_option_that_moto_lacks_needs_the_actions_that_the_policy_adds_for_it(
    cloud, extra, options, besides
):
    local = clouds.local_cloud(cloud.url, KEY_PAIR, None)
    (subnet, *_) = cloud.ec2.describe_subnets()["Subnets"]
    cloud.ec2.create_instance_connect_endpoint(SubnetId=subnet["SubnetId"])
    cloud.ec2.create_placement_group(GroupName="near", Strategy="cluster")
    a_baked_image(cloud)
    with recording() as requests:
        edge = api.connect(local, lambda _: None)
        a_target(LaunchOptions(**options), local, edge)

    assert needed(requests) | besides <= permitted(Purpose.LAUNCH, extra)
    assert permitted(extra) <= needed(requests) | besides


def test_the_policy_allows_the_aws_cli_commands_that_carry_ssh():
    """Service and operation are read from the command line of the AWS CLI."""
    head = a_cluster().head
    called = {
        Extra.SSM: Transport(Connect.SSM, region="us-east-1").proxy(head)[1:3],
        Extra.EICE: Transport(Connect.EICE, region="us-east-1").proxy(head)[1:3],
    }

    actions = {extra: f"{service}:{pascal(operation)}" for extra, (service, operation) in called.items()}
    assert permitted(Extra.SSM) == {actions[Extra.SSM], *CARRYING}
    assert permitted(Extra.EICE) - {"ec2:DescribeInstanceConnectEndpoints"} == {actions[Extra.EICE]}


def pascal(words: str) -> str:
    return "".join(word.capitalize() for word in words.split("-"))


class FakeBuilder:
    """Makes what Packer makes, with a client that is not recorded."""

    def __init__(self, cloud) -> None:
        self.cloud = cloud

    def init(self, plugins, notify):
        pass

    def build(self, template, variables, credentials, notify):
        instance = self.cloud.stopped(
            BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 10}}]
        )
        name = variables["image_name"]
        image_id = self.cloud.ec2.create_image(InstanceId=instance["InstanceId"], Name=name)["ImageId"]
        self.cloud.terminate(instance)
        (image,) = self.cloud.ec2.describe_images(ImageIds=[image_id])["Images"]
        tags = [{"Key": key, "Value": value} for key, value in variables["image_tags"].items()]
        snapshot = image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
        self.cloud.ec2.create_tags(Resources=[image_id, snapshot], Tags=tags)
        return image_id


@pytest.mark.parametrize("answer", ["[4950, 1]", "nothing"])
def test_a_bake_needs_exactly_the_actions_of_the_bake_policy(cloud, tmp_path, answer):
    """Including Packer's actions, and those of a failed bake that removes its image."""
    local = clouds.local_cloud(cloud.url, KEY_PAIR, None)
    with recording() as requests:
        edge = Ec2WithHostKey(api.connect(local, lambda _: None))
        context = BakeContext(
            cloud=local,
            ec2=edge,
            images=connect_images(local, lambda _: None),
            find_builder=lambda: FakeBuilder(cloud),
            verify=make_verifier(local, edge, answer).verify,
            installer=Brought(),
            caller=lambda: "192.0.2.7/32",
            credentials=dict,
            source=packer_directory(),
            cache=tmp_path / "cache",
        )
        try:
            bake(BakeOptions(), context, notify=lambda _: None)
        except NotReadyError:
            assert answer == "nothing"

    made = needed(requests) | PACKER | PACKER_ON_AWS | PACKER_NEWER
    assert made <= permitted(Purpose.BAKE)
    if answer == "nothing":
        assert made == permitted(Purpose.BAKE)


def make_verifier(cloud, edge, answer: str) -> Verifier:
    clock = time.monotonic
    return Verifier(
        cloud,
        edge,
        lambda: "192.0.2.7/32",
        clock,
        lambda _: None,
        make_connection=lambda *_: OneProcessRegistered(edge),
        compute=lambda *_: answer,
    )


def test_the_images_commands_need_exactly_the_actions_of_the_images_policy(cloud, capsys):
    local, terminal = clouds.local_cloud(cloud.url, KEY_PAIR, None), Terminal()
    first, second = a_baked_image(cloud, "dask-bake-1"), a_baked_image(cloud, "dask-bake-2")
    plain = {"dry_run": False, "json_output": True}
    with recording() as requests:
        images.list_all(local, terminal, json_output=True)
        images.show(local, terminal, reference=first, json_output=True)
        images.diff(local, terminal, before=first, after=second, json_output=True)
        images.copy(local, terminal, reference=first, regions=["eu-west-1"], **plain)
        for stop in (False, True):
            accounts = ["111111111111"]
            images.share(local, terminal, reference=first, accounts=accounts, stop=stop, **plain)
        images.prune(local, terminal, keep=1, asks=False, **plain)
        kept = [image["ImageId"] for image in cloud.ec2.describe_images(Owners=["self"])["Images"]]
        images.remove(local, terminal, references=kept, asks=False, **plain)

    assert needed(requests) == permitted(Purpose.IMAGES)


class Caller:
    """An account whose credentials allow the given actions only; moto ignores resources and conditions."""

    def __init__(self, monkeypatch) -> None:
        self._monkeypatch = monkeypatch
        self._iam = boto3.client("iam")
        self._iam.create_user(UserName="launcher")
        self._key = self._iam.create_access_key(UserName="launcher")["AccessKey"]

    def may(self, actions: set[str]) -> None:
        statement = {"Effect": "Allow", "Action": sorted(actions), "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self._iam.put_user_policy(UserName="launcher", PolicyName="least", PolicyDocument=document)
        self._monkeypatch.setenv("AWS_ACCESS_KEY_ID", self._key["AccessKeyId"])
        self._monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", self._key["SecretAccessKey"])


@pytest.fixture
def caller(aws, monkeypatch):
    return Caller(monkeypatch)


def allowed() -> set[str]:
    """Return the actions of the printed launch policy."""
    return {action for each in policy([Purpose.LAUNCH])["Statement"] for action in each["Action"]}


def test_the_launch_policy_suffices_from_launch_to_down(aws, caller):
    caller.may(allowed())
    set_initial_no_auth_action_count(0)(launch_to_down)()


@pytest.mark.parametrize(
    "operation",
    ["RunInstances", "CreateSecurityGroup", "AuthorizeSecurityGroupIngress", "DescribeInstanceTypes"],
)
def test_a_launch_names_the_action_that_the_policy_lacks(aws, caller, operation):
    caller.may(allowed() - {f"ec2:{operation}"})

    with pytest.raises(BakeError, match=f"may not call ec2:{operation}"):
        set_initial_no_auth_action_count(0)(launch)()
