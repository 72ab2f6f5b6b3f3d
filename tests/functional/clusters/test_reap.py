"""`dask-bake reap` on moto's EC2."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from moto.ec2.models import ec2_backends

from dask_bake.cli.main import run
from dask_bake.clusters.naming import moment
from dask_bake.iam.grants import Purpose
from dask_bake.models.cloud import Role
from dask_bake.models.tags import Tag
from iam_actions import needed, permitted, recording
from resource_check import resources

FIVE_HOURS = timedelta(hours=5)


class Launch:
    """The resources of one launch of that age; an unknown age is no tag of it."""

    def __init__(self, client, name: str, *, age: timedelta | None = FIVE_HOURS, launch_id: str = "") -> None:
        self.client = client
        self.begun = None if age is None else datetime.now(UTC) - age
        own = {Tag.MANAGED: "true", Tag.CLUSTER: name, Tag.LAUNCH: launch_id or f"launch-of-{name}"}
        self.tags = own | ({Tag.CREATED: moment(self.begun)} if self.begun else {})

    @property
    def backend(self):
        return ec2_backends["123456789012"][self.client.meta.region_name]

    def specification(self, kind: str, **more: str) -> list[Mapping]:
        pairs = {**self.tags, **more}.items()
        return [{"ResourceType": kind, "Tags": [{"Key": key, "Value": value} for key, value in pairs]}]

    def group(self) -> "Launch":
        vpc = self.client.describe_vpcs()["Vpcs"][0]["VpcId"]
        self.group_id = self.client.create_security_group(
            GroupName=f"dask-bake-{self.tags[Tag.CLUSTER]}",
            Description="of a launch",
            VpcId=vpc,
            TagSpecifications=self.specification("security-group"),
        )["GroupId"]
        return self

    def node(self, role: Role = Role.HEAD) -> str:
        name = f"image-{len(resources(self.client))}"
        image = self.client.register_image(Name=name, RootDeviceName="/dev/xvda")
        (instance,) = self.client.run_instances(
            ImageId=image["ImageId"],
            InstanceType="m6i.large",
            MinCount=1,
            MaxCount=1,
            SecurityGroupIds=[self.group_id],
            TagSpecifications=self.specification("instance", **{Tag.ROLE: role}),
        )["Instances"]
        # moto reports the time of the request; the instance shall be as old as its launch.
        self.backend.get_instance(instance["InstanceId"]).launch_time = moment(self.begun)
        return str(instance["InstanceId"])

    def key_pair(self) -> None:
        self.client.create_key_pair(
            KeyName=f"dask-bake-{self.tags[Tag.CLUSTER]}", TagSpecifications=self.specification("key-pair")
        )

    def volume(self) -> str:
        zone = f"{self.client.meta.region_name}a"
        made = self.client.create_volume(
            AvailabilityZone=zone, Size=10, TagSpecifications=self.specification("volume")
        )
        self.backend.volumes[made["VolumeId"]].create_time = moment(self.begun)
        return str(made["VolumeId"])

    def interface(self) -> str:
        subnet = self.client.describe_subnets()["Subnets"][0]["SubnetId"]
        made = self.client.create_network_interface(
            SubnetId=subnet,
            Groups=[self.group_id],
            TagSpecifications=self.specification("network-interface"),
        )
        return str(made["NetworkInterface"]["NetworkInterfaceId"])


def a_running_cluster(client, name: str = "living") -> Launch:
    launch = Launch(client, name).group()
    launch.node()
    launch.node(Role.WORKER)
    return launch


def reap(capsys, *options: str) -> dict:
    capsys.readouterr()
    assert run(["reap", "--json", *options]) == 0
    return json.loads(capsys.readouterr().out)


def found(document) -> list[tuple[str, str, list[str]]]:
    return [
        (each["region"], each["cluster"], [piece["kind"] for piece in each["pieces"]])
        for each in document["leftovers"]
    ]


def test_with_a_file_only_that_launch_s_resources_are_removed(aws, capsys, tmp_path):
    a_running_cluster(aws)
    Launch(aws, "other").group().node(Role.WORKER)
    kept = resources(aws)
    dead = Launch(aws, "dead").group()
    dead.node(Role.WORKER)
    path = tmp_path / "cluster.yaml"
    where = "cloud: aws\nregion: us-east-1\nname: dead\nlaunch_id: "

    path.write_text(f"{where}somebody-else-s\n")
    assert found(reap(capsys, "--file", str(path), "--yes")) == []
    path.write_text(f"{where}launch-of-dead\n")
    document = reap(capsys, "--file", str(path), "--yes")

    assert found(document) == [("us-east-1", "dead", ["instance", "security group"])]
    assert resources(aws) == kept


def test_a_file_cannot_be_combined_with_all_regions(aws, capsys, tmp_path):
    path = tmp_path / "cluster.yaml"
    path.write_text("cloud: aws\nregion: us-east-1\nname: dead\n")

    assert run(["reap", "--yes", "--all-regions", "--file", str(path)]) == 2
    error = capsys.readouterr().err
    assert "--all-regions searches every region, and --file names a cluster of one region" in error


def test_only_orphaned_resources_are_removed(aws, capsys):
    a_running_cluster(aws)
    kept = resources(aws)
    dead = Launch(aws, "dead").group()
    dead.node(Role.WORKER)
    dead.interface()
    dead.volume()

    document = reap(capsys, "--yes")

    kinds = ["instance", "volume", "network interface", "security group"]
    assert found(document) == [("us-east-1", "dead", kinds)]
    assert document["removed"] is True
    assert resources(aws) == kept


def test_a_dry_run_shows_and_removes_nothing(aws, capsys):
    Launch(aws, "dead").group().node(Role.WORKER)
    before = resources(aws)

    document = reap(capsys, "--dry-run")

    assert found(document) == [("us-east-1", "dead", ["instance", "security group"])]
    assert (document["removed"], resources(aws)) == (False, before)


def test_without_a_terminal_or_yes_it_is_refused_before_any_request(aws, capsys):
    Launch(aws, "dead").group()
    before = resources(aws)

    assert run(["reap"]) == 2

    assert "--yes removes them, --dry-run shows what would be removed" in capsys.readouterr().err
    assert resources(aws) == before


@pytest.mark.parametrize("age", [timedelta(), None])
def test_a_group_of_a_launch_in_progress_is_kept(aws, capsys, age):
    Launch(aws, "young", age=age).group()
    before = resources(aws)

    document = reap(capsys, "--yes")

    assert [each["cluster"] for each in document["left_alone"]] == ["young"]
    assert (document["leftovers"], document["removed"], resources(aws)) == ([], False, before)


def test_a_recent_key_pair_without_other_resources_is_kept(aws, capsys):
    Launch(aws, "old").key_pair()

    document = reap(capsys, "--yes")

    assert (document["leftovers"], [each["cluster"] for each in document["left_alone"]]) == ([], ["old"])


def test_untagged_resources_are_never_touched(aws, capsys):
    other = Launch(aws, "other")
    other.tags[Tag.MANAGED] = "false"
    other.group().node(Role.WORKER)
    other.volume()
    plain = aws.create_security_group(GroupName="dask-bake-plain", Description="somebody else's")["GroupId"]
    before = [each["VolumeId"] for each in aws.describe_volumes()["Volumes"]]

    document = reap(capsys, "--yes")

    assert document["leftovers"] == []
    assert aws.describe_security_groups(GroupIds=[plain, other.group_id])["SecurityGroups"]
    assert [each["VolumeId"] for each in aws.describe_volumes()["Volumes"]] == before


def test_all_regions_are_searched_on_request(aws, capsys):
    elsewhere = boto3.client("ec2", region_name="eu-west-1")
    Launch(elsewhere, "far").group().node(Role.WORKER)
    Launch(aws, "near").group()

    assert found(reap(capsys, "--dry-run")) == [("us-east-1", "near", ["security group"])]
    reap(capsys, "--yes", "--all-regions")

    assert (resources(aws), resources(elsewhere)) == (frozenset(), frozenset())


def test_leftovers_of_an_earlier_launch_of_a_running_cluster_s_name_are_removed(aws, capsys):
    living = a_running_cluster(aws)
    kept = resources(aws)
    before = Launch(aws, "living", launch_id="earlier")
    before.group_id = living.group_id
    lost = before.node(Role.WORKER)

    document = reap(capsys, "--yes")

    assert [piece["id"] for each in document["leftovers"] for piece in each["pieces"]] == [lost]
    assert resources(aws) == kept


def test_the_lease_and_the_instance_of_a_killed_bake_are_removed(aws, capsys):
    name = "image-0123456789ab"
    Launch(aws, name, age=timedelta(hours=7)).group().node()

    assert found(reap(capsys, "--yes")) == [("us-east-1", name, ["instance", "security group"])]
    assert resources(aws) == frozenset()


def test_a_bake_that_is_being_verified_keeps_its_lease(aws, capsys):
    name = "image-0123456789ab"
    Launch(aws, name).group()
    Launch(aws, f"{name}-proof", age=timedelta()).group().node()
    before = resources(aws)

    assert reap(capsys, "--yes")["leftovers"] == []
    assert resources(aws) == before


def test_reap_needs_exactly_the_actions_of_its_policy(aws, capsys):
    dead = Launch(aws, "dead").group()
    dead.node(Role.WORKER)
    dead.interface()
    dead.volume()
    dead.key_pair()
    for pair in dead.backend.key_pairs.values():
        pair.create_time = datetime.now(UTC) - FIVE_HOURS

    with recording() as requests:
        reap(capsys, "--yes", "--all-regions")

    assert resources(aws) == frozenset()
    assert needed(requests) == permitted(Purpose.REAP)


def test_without_orphans_it_reports_none(aws, capsys):
    assert run(["reap", "--yes"]) == 0
    assert capsys.readouterr().out == "Nothing is to be removed.\n"
