"""`dask-bake reap` on the command line: at a terminal, in a pipe, and with inaccessible regions."""

import os
import pty
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from dask_bake.cli.main import run
from dask_bake.clusters.naming import moment
from dask_bake.models.cloud import Role
from dask_bake.models.tags import Tag
from fake_local_cloud import Server
from resource_check import resources

LONG_AGO = datetime.now(UTC) - timedelta(hours=5)
LOOKS = ("Describe", "Get", "List")
TIMEOUT = 60


@pytest.fixture
def aws(cloud, monkeypatch) -> Server:
    """The local cloud without machines, in AWS's place."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", cloud.url)
    return cloud


def tags(kind: str, cluster: str, *, managed: str = "true", **more: str) -> list[dict]:
    own = {
        Tag.MANAGED: managed,
        Tag.CLUSTER: cluster,
        Tag.LAUNCH: f"launch-of-{cluster}",
        Tag.CREATED: moment(LONG_AGO),
        **more,
    }
    return [{"ResourceType": kind, "Tags": [{"Key": key, "Value": value} for key, value in own.items()]}]


def launched(cloud: Server, cluster: str, *roles: Role, region: str = "us-east-1", **about: str) -> set[str]:
    """Return the ids of an old security group of that cluster and of an instance in it for each role."""
    ec2 = cloud.client("ec2", region)
    group = ec2.create_security_group(
        GroupName=f"dask-bake-{cluster}",
        Description="of a launch",
        TagSpecifications=tags("security-group", cluster, **about),
    )["GroupId"]
    ids = {group}
    for role in roles:
        specifications = tags("instance", cluster, **about, **{Tag.ROLE: role})
        instance = cloud.running(ec2, SecurityGroupIds=[group], TagSpecifications=specifications)
        cloud.moto.instances.get(instance["InstanceId"]).launch_time = LONG_AGO.replace(tzinfo=None)
        ids.add(instance["InstanceId"])
    return ids


def changed_ids(cloud: Server) -> set[str]:
    """Return the ids in requests that change something."""
    changes = [each for each in cloud.requests_for() if not each["action"].startswith(LOOKS)]
    return {
        value for each in changes for value in each["parameters"].values() if value.startswith(("i-", "sg-"))
    }


def remaining_ids(cloud: Server, region: str = "us-east-1") -> set[str]:
    found = resources(cloud.client("ec2", region))
    return {each.id for each in found if each.kind in ("instance", "security group")}


def at_a_terminal(answer: bytes, *options: str) -> tuple[int, str]:
    """Type the text at a terminal of 80 columns without colour; return the exit code and all output."""
    ours, theirs = pty.openpty()
    environ = {**os.environ, "COLUMNS": "80", "TERM": "dumb", "NO_COLOR": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "dask_bake", "reap", *options],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environ,
    )
    os.close(theirs)
    os.write(ours, answer)
    seen = b""
    try:
        while part := os.read(ours, 4096):
            seen += part
    except OSError:  # the other end is closed: the process has ended
        pass
    os.close(ours)
    return process.wait(TIMEOUT), seen.decode().replace("\r\n", "\n")


def in_a_pipe(*options: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "dask_bake", "reap", *options],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )


@pytest.mark.parametrize(("answer", "removes"), [(b"n\n", False), (b"\n", False), (b"y\n", True)])
def test_at_a_terminal_it_asks_before_it_removes_orphans(aws, answer, removes):
    living = launched(aws, "living", Role.HEAD, Role.WORKER)
    dead = launched(aws, "a-cluster-with-a-long-name-that-nobody-ended", Role.WORKER, Role.WORKER)

    code, seen = at_a_terminal(answer)

    assert code == 0, seen
    assert remaining_ids(aws) == living | (set() if removes else dead)
    assert all(len(line) <= 80 for line in seen.splitlines()), seen
    assert "\x1b" not in seen
    assert "2 instances and 1 security group are to be removed" in seen
    assert "Remove? [y/N]:" in seen
    assert all(each in seen for each in dead)
    assert not any(each in seen for each in living)
    assert ("Nothing was removed." in seen) != removes
    assert ("2 instances and 1 security group are gone." in seen) == removes


def test_in_a_pipe_a_dry_run_is_plain_text_of_80_columns_without_a_question(aws):
    dead = launched(aws, "dead", Role.WORKER)
    command = [sys.executable, "-m", "dask_bake", "reap"]

    refused = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT
    )
    shown = subprocess.run([*command, "--dry-run"], capture_output=True, text=True, timeout=TIMEOUT)

    assert (refused.returncode, refused.stdout) == (2, "")
    assert "--yes removes them, --dry-run shows what would be removed" in refused.stderr
    assert shown.returncode == 0, shown.stderr
    assert re.search(r"^dead  us-east-1, inactive for 5 h\n", shown.stdout)
    assert all(len(line) <= 80 for line in shown.stdout.splitlines())
    assert "\x1b" not in shown.stdout + shown.stderr
    assert remaining_ids(aws) == dead


def test_resources_of_running_clusters_and_of_others_are_in_no_request_that_changes_something(aws, capsys):
    launched(aws, "living", Role.HEAD, Role.WORKER)
    launched(aws, "theirs", Role.WORKER, managed="false")
    plain = aws.ec2.create_security_group(GroupName="dask-bake-plain", Description="somebody else")["GroupId"]
    aws.running(SecurityGroupIds=[plain])
    aws.ec2.create_key_pair(KeyName="dask-bake-dead", KeyType="ed25519")
    dead = launched(aws, "dead", Role.WORKER)
    before = {each["InstanceId"]: each["State"] for each in instances(aws)}
    aws.forget_requests()

    assert run(["reap", "--yes"]) == 0

    assert capsys.readouterr().out.splitlines()[-1] == "1 instance and 1 security group are gone."
    assert changed_ids(aws) == dead
    after = {each["InstanceId"]: each["State"] for each in instances(aws)}
    assert {each: state for each, state in after.items() if state != before[each]}.keys() == {
        each for each in dead if each.startswith("i-")
    }
    assert [pair["KeyName"] for pair in aws.ec2.describe_key_pairs()["KeyPairs"]] == ["dask-bake-dead"]


def instances(cloud: Server) -> list[dict]:
    found = cloud.ec2.describe_instances()["Reservations"]
    return [instance for reservation in found for instance in reservation["Instances"]]


def test_regions_without_access_are_named_and_the_others_are_reaped(aws, capsys):
    for region in ("us-east-1", "eu-north-1"):
        launched(aws, "dead", Role.WORKER, region=region)
    closed = {"eu-west-1": "UnauthorizedOperation", "me-south-1": "OptInRequired"}
    for region, code in closed.items():
        aws.fault("error", "Describe*", code=code, times=0, where={"Region": region})

    code = run(["reap", "--yes", "--all-regions"])

    captured = capsys.readouterr()
    message = " ".join(captured.err.split())
    assert (code, captured.out.splitlines()[-1]) == (3, "2 instances and 2 security groups are gone.")
    assert (remaining_ids(aws), remaining_ids(aws, "eu-north-1")) == (set(), set())
    assert all(f"{region} could not be read: " in message for region in closed)
    assert "orphaned resources may remain in eu-west-1, me-south-1" in message
    assert "dask-bake reap --region eu-west-1" in message


def test_a_region_where_removal_is_denied_is_named_and_the_others_are_reaped(aws, capsys):
    kept = launched(aws, "dead", Role.WORKER, region="eu-north-1")
    launched(aws, "dead", Role.WORKER)
    for action in ("TerminateInstances", "DeleteSecurityGroup"):
        aws.fault("error", action, code="UnauthorizedOperation", times=0, where={"Region": "eu-north-1"})

    code = run(["reap", "--yes", "--all-regions"])

    message = " ".join(capsys.readouterr().err.split())
    assert (code, remaining_ids(aws), remaining_ids(aws, "eu-north-1")) == (3, set(), kept)
    assert "may be left that costs money in eu-north-1: " in message
    assert all(each in message for each in kept)
    assert "dask-bake reap --region eu-north-1" in message


def test_a_single_region_without_access_fails_with_the_reason(aws, capsys):
    aws.fault("error", "DescribeInstances", code="UnauthorizedOperation", times=0)

    assert run(["reap", "--yes"]) == 1

    captured = capsys.readouterr()
    assert captured.out == ""
    assert "DescribeInstances" in captured.err
