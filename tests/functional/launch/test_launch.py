"""The commands from launch to down on moto's EC2."""

import io
import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml
from moto.core import DEFAULT_ACCOUNT_ID
from moto.ec2 import ec2_backends

from dask_bake import api
from dask_bake.cli.main import run
from dask_bake.clusters import name_lock
from dask_bake.commands import launch as launch_command
from dask_bake.ec2 import api as ec2
from dask_bake.errors import BakeError, UsageError
from dask_bake.models.cloud import DEBIAN_ACCOUNT
from dask_bake.models.cluster import Cluster
from dask_bake.models.tags import Tag
from dask_bake.ssh.connect import local_keystore
from dask_bake.ssh.keypair import new_key
from dask_bake.ssh.keystore import Keys
from dask_bake.view.terminal import Terminal
from fakes import AllRegistered, Ec2WithHostKey, hint_of
from isolation import LOGIN_NAME
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
    assert sorted(calls[:8]) == [
        "DescribeImages",
        "DescribeInstanceTypeOfferings",
        "DescribeInstanceTypes",
        "DescribeInstances",
        "DescribeSecurityGroups",
        "DescribeSubnets",
        "servicequotas:GetServiceQuota",
        "sts:GetCallerIdentity",
    ]
    # While the first group gets its rule, the launch looks for others of the name.
    assert (calls[8], sorted(calls[9:11])) == (
        "CreateSecurityGroup",
        ["AuthorizeSecurityGroupIngress", "DescribeSecurityGroups"],
    )
    assert calls[11:15] == [
        "CreateSecurityGroup",
        "AuthorizeSecurityGroupIngress",
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


def owners(tagged: list[dict[str, Any]]) -> set[tuple[str, str]]:
    """Return the owner and the ARN in the tags of each resource."""
    tags = [{tag["Key"]: tag["Value"] for tag in each.get("Tags", [])} for each in tagged]
    return {(each.get(Tag.OWNER, ""), each.get(Tag.OWNER_ARN, "")) for each in tags}


@pytest.mark.parametrize(("answers", "owner"), [(True, "moto"), (False, f"{LOGIN_NAME}@laptop")])
def test_everything_is_tagged_with_its_owner_whether_sts_answers_or_not(
    aws, image, cloud, monkeypatch, answers, owner
):
    monkeypatch.setattr("socket.gethostname", lambda: "laptop")
    arn = "arn:aws:sts::123456789012:user/moto"
    if not answers:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:9")
        arn = ""
    launch(cloud, replace(OPTIONS, provision=False))

    instances = [
        each for reservation in aws.describe_instances()["Reservations"] for each in reservation["Instances"]
    ]
    groups = [
        each for each in aws.describe_security_groups()["SecurityGroups"] if each["GroupName"] != "default"
    ]
    keys, volumes = aws.describe_key_pairs()["KeyPairs"], aws.describe_volumes()["Volumes"]
    for kind in (instances, groups, keys, volumes):
        assert owners(kind) == {(owner, arn)}


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
    (instances,) = shown["cost"]["items"]
    assert (instances["what"], instances["count"], shown) == ("m6i.2xlarge", 3, listed)
    assert run(["down", "dask"]) == 0
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


class Pausing(Ec2WithHostKey):
    """EC2 that calls a function before and after the first group of the launch is created."""

    def __init__(self, edge: Any, before: Callable[[], object], after: Callable[[], object]) -> None:
        super().__init__(edge)
        self._pauses = [before, after]

    def create_security_group(self, name: str, **about: Any) -> Any:
        before, after = self._pauses or 2 * [lambda: None]
        self._pauses = []
        before()
        made = self._edge.create_security_group(name, **about)
        after()
        return made


def outcome(cloud, vpc_id: str, before: Callable[[], object], after: Callable[[], object]) -> str:
    """Launch into the VPC, and return the error's message, or "" for a cluster that is up."""
    terminal = Terminal()
    edge = Pausing(ec2.connect(cloud, terminal.notify), before, after)
    try:
        launch_command.run(
            replace(OPTIONS, vpc_id=vpc_id),
            cloud,
            edge,
            terminal,
            dry_run=False,
            json_output=True,
            make_connection=lambda *_: AllRegistered(edge),
        )
    except BakeError as error:
        return error.message
    return ""


TAKEN = "a cluster named dask already exists, or is being launched"


@pytest.fixture
def two_vpcs(aws) -> list[str]:
    """Return two VPCs with a subnet each."""
    vpcs = [aws.create_vpc(CidrBlock=block)["Vpc"]["VpcId"] for block in ("10.1.0.0/16", "10.2.0.0/16")]
    for number, vpc in enumerate(vpcs, start=1):
        aws.create_subnet(VpcId=vpc, CidrBlock=f"10.{number}.0.0/20", AvailabilityZone="us-east-1a")
    return vpcs


def clusters_in(aws) -> set[str]:
    """Return the VPCs with security groups of the cluster; each has all three nodes and both groups."""
    groups = [
        each for each in aws.describe_security_groups()["SecurityGroups"] if each["GroupName"] != "default"
    ]
    assert len(everything(aws)) == 5
    return {group["VpcId"] for group in groups}


def test_of_two_launches_of_one_name_into_two_vpcs_at_once_one_wins(aws, image, cloud, two_vpcs):
    meet = threading.Barrier(2, timeout=60)
    with ThreadPoolExecutor(2) as pool:
        ends = list(pool.map(lambda vpc: outcome(cloud, vpc, meet.wait, meet.wait), two_vpcs))

    assert sorted(ends) == ["", TAKEN]
    assert clusters_in(aws) == {two_vpcs[ends.index("")]}


def test_a_launch_that_has_looked_for_the_name_before_the_other_began_wins(
    aws, image, cloud, two_vpcs, monkeypatch
):
    """Also if the group of the second has the lower id."""
    monkeypatch.setattr(name_lock, "WITHDRAWAL", 0.1)
    first, second = two_vpcs
    ends = []

    def launch_the_first() -> None:
        ends.append(outcome(cloud, first, lambda: None, lambda: None))

    ends.append(outcome(cloud, second, launch_the_first, lambda: None))

    assert ends == ["", TAKEN]
    assert clusters_in(aws) == {first}


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


def give_to(aws, owner: str | None) -> None:
    """Change the owner in all tags."""
    filters = [{"Name": "key", "Values": [Tag.OWNER]}]
    tagged = {each["ResourceId"] for each in aws.describe_tags(Filters=filters)["Tags"]}
    for resource in tagged:
        aws.delete_tags(Resources=[resource], Tags=[{"Key": Tag.OWNER}, {"Key": Tag.OWNER_ARN}])
        if owner is not None:
            tag(aws, resource, {Tag.OWNER: owner})


def no_terminal(monkeypatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))


def at_a_terminal(monkeypatch, answer: str) -> None:
    typed = io.StringIO(answer)
    monkeypatch.setattr(typed, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", typed)


BOB_S = (
    "dask",
    "bob@example.com",
    "belongs to bob@example.com",
    "dask-bake down dask --yes ends it all the same",
)
NOBODY_S = ("dask", None, "has no known owner", "dask-bake down dask --yes ends it all the same")
NOT_NAMED = (None, "moto", "is yours", "dask-bake down dask ends it")


@pytest.mark.parametrize(("name", "owner", "whose", "hint"), [BOB_S, NOBODY_S, NOT_NAMED])
def test_down_of_another_s_cluster_or_without_a_name_asks(
    aws, image, cloud, monkeypatch, capsys, name, owner, whose, hint
):
    launch(cloud)
    give_to(aws, owner)
    before, words = everything(aws), ["down", *([name] if name else [])]
    capsys.readouterr()

    no_terminal(monkeypatch)
    assert run(words) == 2
    assert capsys.readouterr().err == (
        f"Error: cluster dask {whose}, and there is no terminal to confirm its end on\nHint: {hint}\n"
    )
    at_a_terminal(monkeypatch, "n\n")
    assert run(words) == 0
    shown = capsys.readouterr()
    assert f"Cluster dask in aws us-east-1 has 3 nodes, and {whose}." in " ".join(shown.err.split())
    assert (shown.err.endswith("Nothing was ended.\n"), shown.out) == (True, "")
    at_a_terminal(monkeypatch, "")
    assert run(words) == 130
    assert "interrupted before anything was ended" in capsys.readouterr().err
    assert everything(aws) == before
    at_a_terminal(monkeypatch, "y\n")
    assert run(words) == 0
    assert everything(aws) == []


@pytest.mark.parametrize(("words", "owner"), [(["dask", "--yes"], "bob"), (["-y"], None)])
def test_with_yes_down_does_not_ask(aws, image, cloud, monkeypatch, words, owner):
    launch(cloud)
    give_to(aws, owner)
    no_terminal(monkeypatch)

    assert run(["down", *words]) == 0
    assert everything(aws) == []


def test_a_cluster_without_an_owner_is_one_s_own_if_its_key_is_here(aws, image, cloud, monkeypatch):
    launch(cloud)
    give_to(aws, None)
    no_terminal(monkeypatch)
    found = find_cluster(cloud)
    local_keystore(found, cloud).write(Keys(new_key("x")))

    assert run(["down", "dask"]) == 0


def test_the_name_of_another_s_cluster_is_refused_without_telling_how_to_end_it(aws, image, cloud):
    launch(cloud)
    give_to(aws, "bob@example.com")

    with pytest.raises(BakeError, match=r"or is being launched; it belongs to bob@example\.com$") as caught:
        launch(cloud)

    assert hint_of(caught.value) == "dask-bake status dask shows it, --name gives another"


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
    assert "there is no cluster in aws us-east-1" in capsys.readouterr().err


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
