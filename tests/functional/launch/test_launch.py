"""The commands from launch to down on moto's EC2."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import yaml
from moto.core import DEFAULT_ACCOUNT_ID
from moto.ec2 import ec2_backends

from dask_bake import api
from dask_bake.cli.main import run
from dask_bake.ec2 import api as ec2
from dask_bake.errors import BakeError, UsageError
from dask_bake.models.cloud import DEBIAN_ACCOUNT
from dask_bake.models.cluster import Cluster
from dask_bake.models.tags import Tag
from fakes import AllRegistered
from moto_launches import OPTIONS, answering_cloud, baked, everything, launch, tag


@pytest.fixture
def image(aws):
    return baked(aws)


@pytest.fixture
def cloud():
    with answering_cloud() as cloud:
        yield cloud


def test_a_launch_reports_its_resources_and_calls(aws, image, cloud, capsys):
    assert launch(cloud) == 0

    document = json.loads(capsys.readouterr().out)
    assert [(node["index"], node["role"], node["state"], node["workers"]) for node in document["nodes"]] == [
        (0, "head", "running", 0),
        (1, "worker", "running", 2),
        (2, "worker", "running", 2),
    ]
    assert (document["workers"], document["workers_expected"], document["nthreads"]) == (4, 4, 4)
    calls = [call for call in document["calls"] if not call.startswith("pricing:")]
    assert sorted(calls[:7]) == [
        "DescribeImages",
        "DescribeInstanceTypeOfferings",
        "DescribeInstanceTypes",
        "DescribeInstances",
        "DescribeSecurityGroups",
        "DescribeSubnets",
        "servicequotas:GetServiceQuota",
    ]
    assert calls[7:13] == [
        *2 * ("CreateSecurityGroup", "AuthorizeSecurityGroupIngress"),
        *2 * ("RunInstances",),
    ]


def test_a_launch_and_a_dry_run_say_that_the_image_is_old(aws, image, cloud, capsys):
    ec2_backends[DEFAULT_ACCOUNT_ID][cloud.region].amis[image].creation_date = datetime(
        2026, 1, 1, tzinfo=UTC
    )
    assert (launch(cloud, dry_run=True), launch(cloud)) == (0, 0)

    shown = " ".join(capsys.readouterr().err.split())
    assert shown.count("days old: dask-bake lock, then dask-bake bake, renew it.") == 2


def test_a_dry_run_says_that_debian_has_a_newer_base(aws, image, cloud, capsys):
    tag(aws, image, {Tag.BASE_NAME: "debian-12-amd64-20260101-1234"})
    newer = "debian-12-amd64-20260401-1234"
    base_id = aws.register_image(Name=newer, RootDeviceName="/dev/xvda")["ImageId"]
    base = ec2_backends[DEFAULT_ACCOUNT_ID][cloud.region].amis[base_id]
    base.owner_id, base.architecture = DEBIAN_ACCOUNT, "x86_64"  # which moto's RegisterImage cannot set

    assert launch(cloud, dry_run=True) == 0
    shown = " ".join(capsys.readouterr().err.split())
    assert f"The image's base debian-12-amd64-20260101-1234 has been superseded by {newer}" in shown


def test_instances_require_imdsv2_with_encrypted_disks_that_are_deleted_on_termination(aws, image, cloud):
    launch(cloud)

    for reservation in aws.describe_instances()["Reservations"]:
        for instance in reservation["Instances"]:
            assert instance["MetadataOptions"]["HttpTokens"] == "required"
            assert instance["MetadataOptions"]["HttpPutResponseHopLimit"] == 1
            (device,) = instance["BlockDeviceMappings"]
            assert device["Ebs"]["DeleteOnTermination"]
            (volume,) = aws.describe_volumes(VolumeIds=[device["Ebs"]["VolumeId"]])["Volumes"]
            assert (volume["Encrypted"], volume["VolumeType"]) == (True, "gp3")
            assert {"Key": Tag.CLUSTER, "Value": "dask"} in volume["Tags"]


def cidrs(rule) -> list[str]:
    return [each["CidrIp"] for each in rule["IpRanges"]]


def test_only_the_group_and_the_caller_s_ssh_are_allowed(aws, image, cloud):
    launch(cloud)

    filters = [{"Name": "group-name", "Values": ["dask-bake-*"]}]
    rules = {
        (
            group["GroupName"],
            rule["IpProtocol"],
            rule.get("FromPort"),
            *(each["CidrIp"] for each in rule["IpRanges"]),
        )
        for group in aws.describe_security_groups(Filters=filters)["SecurityGroups"]
        for rule in group["IpPermissions"]
    }
    assert rules == {("dask-bake-dask", "-1", None), ("dask-bake-dask/ssh", "tcp", 22, "192.0.2.7/32")}


def test_a_launched_cluster_is_listed_shown_and_taken_down(aws, image, cloud, capsys):
    launch(cloud)
    capsys.readouterr()

    assert run(["ls", "--json"]) == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert (listed["name"], listed["workers_expected"], len(listed["nodes"])) == ("dask", 4, 3)
    assert run(["status", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    (instances,) = shown.pop("cost")["items"]
    assert (instances["what"], instances["count"], shown) == ("m6i.2xlarge", 3, listed)
    assert run(["down"]) == 0
    assert capsys.readouterr().out.startswith("dask is gone: 3 nodes ended in")
    assert everything(aws) == []
    assert run(["ls"]) == 0
    assert capsys.readouterr().out == "There are no clusters.\n"


def test_a_name_in_use_is_refused_and_the_cluster_stays(aws, image, cloud):
    launch(cloud)
    before = everything(aws)

    with pytest.raises(BakeError, match="a cluster named dask already exists"):
        launch(cloud)

    assert everything(aws) == before


def test_an_interrupted_launch_leaves_nothing(aws, image, cloud):
    class Interrupted(AllRegistered):
        def registered(self, head):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        launch(cloud, connection=Interrupted)

    assert everything(aws) == []


def test_a_dry_run_shows_calls_and_user_data_and_makes_nothing(aws, image, cloud, capsys):
    assert launch(cloud, dry_run=True) == 0

    document = json.loads(capsys.readouterr().out)
    assert [call["operation"] for call in document["calls"]][4:] == ["RunInstances", "RunInstances"]
    assert document["calls"][5]["parameters"]["UserData"].startswith("#cloud-config\n")
    assert everything(aws) == []


def test_the_nodes_are_written_to_a_file_in_dask_ec2_s_format(aws, image, cloud, tmp_path):
    path = tmp_path / "cluster.yaml"
    launch(cloud, replace(OPTIONS, file=path))

    document = yaml.safe_load(path.read_text())
    assert (document["name"], document["cloud"], document["region"]) == ("dask", "aws", "us-east-1")
    assert [set(node) for node in document["instances"]] == 3 * [
        {"index", "role", "uid", "ip", "private_ip", "port", "username", "keypair"}
    ]
    assert [node["role"] for node in document["instances"]] == ["head", "worker", "worker"]


def test_destroy_is_down_without_a_question(aws, image, cloud, tmp_path, capsys):
    file = tmp_path / "cluster.yaml"
    launch(cloud, replace(OPTIONS, name="mine", file=file))
    launch(cloud, replace(OPTIONS, name="other"))
    assert run(["destroy", "--file", str(file), "-y"]) == 0

    assert "mine is gone: 3 nodes ended" in capsys.readouterr().out
    assert file.exists()
    left = run(["status", "mine"]), capsys.readouterr().err
    assert left[0] == 2
    assert "there is no cluster named mine" in left[1]


def test_the_file_of_a_cluster_that_was_replaced_is_refused(aws, image, cloud, tmp_path, capsys):
    file = tmp_path / "cluster.yaml"
    launch(cloud, replace(OPTIONS, name="mine", file=file))
    assert run(["down", "mine"]) == 0
    launch(cloud, replace(OPTIONS, name="mine"))

    for command in ("down", "ls"):
        assert run([command, "--file", str(file)]) == 2
        assert "is about an earlier cluster mine" in capsys.readouterr().err
    with pytest.raises(UsageError, match="is about an earlier cluster mine"):
        api.connect(file=file)
    assert run(["address", "mine"]) == 0


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"ami": "ami-00000000000000000"}, BakeError, "the image ami-00000000000000000 does not exist"),
        ({"ami": "nonsense"}, BakeError, "the image nonsense does not exist"),
        ({"type": ("m0.huge",)}, UsageError, "^--type m0.huge: there is no such type"),
        ({"head_type": ("m0.huge",)}, UsageError, "^--head-type m0.huge: there is no such type"),
        ({"type": ("m6g.2xlarge",)}, UsageError, "is x86_64, the type m6g.2xlarge is arm64"),
    ],
)
def test_missing_resources_are_refused_before_anything_is_made(aws, image, cloud, options, error, message):
    with pytest.raises(error, match=message):
        launch(cloud, replace(OPTIONS, **options))

    assert everything(aws) == []


def test_without_an_image_the_hint_is_the_bake_command(aws, cloud):
    with pytest.raises(BakeError, match="there is no image to launch from") as caught:
        launch(cloud)

    assert caught.value.hint.startswith("dask-bake bake makes one")


def test_an_unverified_image_is_launched_only_by_its_id(aws, image, cloud, capsys):
    aws.delete_tags(Resources=[image], Tags=[{"Key": Tag.VERIFIED}])

    with pytest.raises(BakeError, match=f"no image is verified: {image}"):
        launch(cloud)

    assert launch(cloud, replace(OPTIONS, ami=image), dry_run=True) == 0
    message = " ".join(capsys.readouterr().err.split())
    assert f"The image {image} is still being verified, or its verification failed" in message


def test_an_image_of_another_python_is_launched_only_with_allow_mismatch(aws, image, cloud, capsys):
    tag(aws, image, {Tag.PYTHON: "2.7.18"})

    with pytest.raises(UsageError, match=r"has Python 2\.7\.18, this machine Python 3"):
        launch(cloud)

    assert everything(aws) == []
    assert launch(cloud, replace(OPTIONS, allow_mismatch=True), dry_run=True) == 0
    assert "The image has Python 2.7.18, this machine 3." in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    "command", [["status", "nope"], ["extend", "nope"], ["ssh", "--name", "nope"], ["connect", "nope"]]
)
def test_an_unknown_cluster_is_a_usage_error(aws, command, capsys):
    assert run(command) == 2
    assert capsys.readouterr().err == (
        "Error: there is no cluster named nope in aws us-east-1\nHint: dask-bake launch starts one\n"
    )


def test_ending_a_cluster_that_is_gone_already_is_a_success(aws, image, cloud, tmp_path, capsys):
    file = tmp_path / "cluster.yaml"
    launch(cloud, replace(OPTIONS, file=file))
    assert run(["down", "dask"]) == 0
    capsys.readouterr()

    for words in (["dask"], ["dask", "--json"], ["--file", str(file)]):
        assert run(["down", *words]) == 0
        shown = capsys.readouterr()
        assert "There is no cluster named dask in aws us-east-1: there is nothing to end." in shown.err
        assert shown.out == ("null\n" if "--json" in words else "")
    assert run(["down"]) == 2


def test_a_cluster_that_lost_a_node_or_ended_is_shown_with_exit_code_1(aws, image, cloud, capsys):
    launch(cloud)
    assert run(["status"]) == 0
    nodes = {
        tag["Value"]: instance["InstanceId"]
        for reservation in aws.describe_instances()["Reservations"]
        for instance in reservation["Instances"]
        for tag in instance["Tags"]
        if tag["Key"] == Tag.ROLE
    }
    aws.terminate_instances(InstanceIds=[nodes["worker"]])
    capsys.readouterr()

    assert run(["status"]) == 1
    assert "has 1 of its 2 worker nodes" in capsys.readouterr().out
    aws.terminate_instances(InstanceIds=[nodes["head"]])
    assert run(["status"]) == 1
    assert "has no head node" in " ".join(capsys.readouterr().out.split())
    assert run(["ls"]) == 0
    assert "no head" in capsys.readouterr().out
    with pytest.raises(UsageError, match="cluster dask has no head node"):
        api.connect("dask", cloud="aws", region="us-east-1")


def test_an_unknown_node_number_is_a_usage_error(aws, image, cloud, capsys):
    launch(cloud)

    assert run(["ssh", "7"]) == 2
    assert "cluster dask has no node 7\nHint: its nodes: 0, 1, 2" in capsys.readouterr().err


def test_a_cluster_whose_key_is_on_another_machine_cannot_be_connected_to(aws, image, cloud, capsys):
    launch(cloud)

    assert run(["ssh"]) == 1
    assert "the key of cluster dask is not on this machine" in capsys.readouterr().err


def test_a_cluster_s_processes_and_size_are_read_from_its_tags(aws, image, cloud):
    launch(cloud)
    cluster = find_cluster(cloud)

    assert (cluster.nprocs, cluster.nthreads, cluster.expected_workers) == (2, 4, 4)


def find_cluster(cloud) -> Cluster:
    from dask_bake.clusters.inventory import find

    return find(ec2.connect(cloud, lambda _: None), cloud, "dask")


def test_connect_refuses_another_python_before_it_opens_a_connection(aws, image, cloud):
    tag(aws, image, {Tag.PYTHON: "3.99.1"})
    launch(cloud, replace(OPTIONS, allow_mismatch=True))

    with pytest.raises(UsageError, match="its scheduler could not read what this client sends"):
        api.connect("dask", cloud="aws", region="us-east-1")
    with pytest.raises(BakeError, match="the key of cluster dask is not on this machine"):
        api.connect("dask", cloud="aws", region="us-east-1", allow_mismatch=True)
