"""Launches without capacity, quota or permission: the requests made, and that nothing is left."""

import json
import os

import pytest

from dask_bake import clouds
from dask_bake.clusters.inventory import find
from dask_bake.commands import launch as launch_command
from dask_bake.ec2 import api
from dask_bake.errors import BakeError, CapacityError, NotReadyError, QuotaError, UsageError
from dask_bake.launch.dry_run import NOT_CERTAIN
from dask_bake.models.cloud import Connect, Role
from dask_bake.options.launch import LaunchOptions
from dask_bake.view.terminal import Terminal
from fake_local_cloud import DEBIAN, left
from fakes import AllRegistered, Ec2WithHostKey
from isolation import KEY_PAIR
from resource_check import checked

BIG, OLD, SMALL = "m6i.2xlarge", "m5.2xlarge", "m6i.large"
MAKES = ("RunInstances", "CreateSecurityGroup", "AuthorizeSecurityGroupIngress", "ImportKeyPair")


def launch(cloud, *, dry_run=False, carriers=None, **options) -> int:
    def connection(folder, keys, transport):
        if carriers is not None:
            carriers.append(transport)
        return AllRegistered(edge)

    terminal = Terminal()
    there = clouds.local_cloud(cloud.url, KEY_PAIR, None)
    edge = Ec2WithHostKey(api.connect(there, terminal.notify))
    chosen = {"count": 3, "nprocs": 2, "ami": DEBIAN.id, "allow_mismatch": True, **options}
    return checked(
        cloud.ec2,
        lambda: launch_command.run(
            LaunchOptions(**chosen),
            there,
            edge,
            terminal,
            dry_run=dry_run,
            json_output=True,
            make_connection=connection,
        ),
        nodes=0 if dry_run else None if "min_workers" in options else chosen["count"],
    )


def document(capsys):
    return json.loads(capsys.readouterr().out)


def run_requests(cloud):
    """Return each RunInstances request as role, type, zone's letter, market and result."""
    zones = {each["SubnetId"]: each["AvailabilityZone"] for each in cloud.ec2.describe_subnets()["Subnets"]}
    return [
        (
            next(role for role in Role if str(role) in parameters.values()),
            parameters["InstanceType"],
            zones[parameters["NetworkInterface.1.SubnetId"]][-1],
            parameters.get("InstanceMarketOptions.MarketType", "on-demand"),
            request["code"],
        )
        for request in cloud.requests_for("RunInstances")
        if (parameters := request["parameters"])
    ]


def no_capacity(cloud, **where) -> None:
    cloud.fault("capacity", where=where, times=0)


NO_CAPACITY = "InsufficientInstanceCapacity"


def test_each_type_and_zone_is_tried_once_with_head_and_workers_in_one_zone(cloud, capsys):
    no_capacity(cloud, InstanceType=BIG, AvailabilityZone="us-east-1a")
    no_capacity(cloud, InstanceType=OLD, AvailabilityZone="us-east-1a")
    no_capacity(cloud, InstanceType=BIG, AvailabilityZone="us-east-1b")

    assert launch(cloud, type=(BIG, OLD), head_type=(SMALL,), zone=("us-east-1a", "us-east-1b")) == 0

    assert run_requests(cloud) == [
        ("head", SMALL, "a", "on-demand", None),
        ("worker", BIG, "a", "on-demand", NO_CAPACITY),
        ("worker", OLD, "a", "on-demand", NO_CAPACITY),
        ("head", SMALL, "b", "on-demand", None),
        ("worker", BIG, "b", "on-demand", NO_CAPACITY),
        ("worker", OLD, "b", "on-demand", None),
    ]
    plan = document(capsys)
    assert [(node["role"], node["state"]) for node in plan["nodes"]] == [
        ("head", "running"),
        ("worker", "running"),
        ("worker", "running"),
    ]
    assert len(left(cloud)) == 3 + 2


def test_zones_recommended_by_ec2_are_tried_first(cloud, capsys):
    no_capacity(cloud, InstanceType=BIG, AvailabilityZone="us-east-1a")
    no_capacity(cloud, InstanceType=BIG, AvailabilityZone="us-east-1b")

    launch(cloud)

    assert [(role, zone) for role, _, zone, _, _ in run_requests(cloud)] == [
        ("head", "a"),
        ("head", "c"),
        ("worker", "c"),
    ]


def test_without_capacity_anywhere_all_attempts_are_named_and_nothing_is_left(cloud):
    no_capacity(cloud, InstanceType=BIG)

    with pytest.raises(CapacityError) as caught:
        launch(cloud, head_type=(SMALL,))

    tried = run_requests(cloud)
    assert len(set(tried)) == len(tried)
    for zone in {zone for _, _, zone, _, _ in tried}:
        assert f"m6i.2xlarge in us-east-1{zone} (InsufficientInstanceCapacity)" in caught.value.message
    assert left(cloud) == []


def test_spot_workers_fall_back_to_on_demand_when_no_zone_has_spot_capacity(cloud, capsys, fault_row):
    no_capacity(cloud, MarketType="spot")

    with fault_row(
        "At launch",
        "no zone has spot instances, and `--spot-with-fallback` was given",
        "the launcher tries each zone once, then on-demand instances; the head is in the same zone as its"
        " workers",
        left="the cluster",
    ):
        launch(cloud, spot_with_fallback=True, zone=("us-east-1a", "us-east-1b"))
        assert run_requests(cloud) == [
            ("head", BIG, "a", "on-demand", None),
            ("worker", BIG, "a", "spot", NO_CAPACITY),
            ("head", BIG, "b", "on-demand", None),
            ("worker", BIG, "b", "spot", NO_CAPACITY),
            ("head", BIG, "a", "on-demand", None),
            ("worker", BIG, "a", "on-demand", None),
        ]
    assert {node["state"] for node in document(capsys)["nodes"]} == {"running"}


def test_without_fallback_spot_workers_stay_spot(cloud, fault_row):
    no_capacity(cloud, MarketType="spot")

    with fault_row(
        "At launch",
        "no zone has spot instances, and `--spot` was given",
        "the launcher tries each zone once; exit code 1, with the zones and a hint to `--spot-with-fallback`",
        left="nothing",
    ):
        with pytest.raises(CapacityError, match="on spot in us-east-1a") as caught:
            launch(cloud, spot=True)
        assert "--spot-with-fallback uses On-Demand" in caught.value.hint
        assert {market for role, _, _, market, _ in run_requests(cloud) if role == "worker"} == {"spot"}
        assert left(cloud) == []


def test_an_exhausted_spot_quota_falls_back_with_the_same_head(cloud, capsys, fault_row):
    cloud.fault("error", "RunInstances", code="MaxSpotInstanceCountExceeded", where={"*MarketType": "spot"})

    with fault_row(
        "At launch",
        "the quota of spot instances is used up, and `--spot-with-fallback` was given",
        "the launcher tries no other zone; it starts on-demand workers and keeps the head",
        left="the cluster",
    ):
        launch(cloud, spot_with_fallback=True)
        assert [(role, zone, market) for role, _, zone, market, _ in run_requests(cloud)] == [
            ("head", "a", "on-demand"),
            ("worker", "a", "spot"),
            ("worker", "a", "on-demand"),
        ]


def test_an_exhausted_quota_ends_the_launch_in_the_first_zone(cloud):
    cloud.run(InstanceType="m5.24xlarge")
    cloud.set_quotas(L_1216C47A=100)
    cloud.forget_requests()

    with pytest.raises(QuotaError, match=r"quota is too small.*\(VcpuLimitExceeded\)"):
        launch(cloud)

    assert len(run_requests(cloud)) == 1
    assert len(left(cloud)) == 1


def test_a_quota_smaller_than_the_cluster_is_an_error_before_anything_is_made(cloud, fault_row):
    cloud.set_quotas(L_1216C47A=16)

    with fault_row(
        "At launch",
        "the account's quota is smaller than the launch",
        "the launch fails before it creates anything, with the quota's name and code and the vCPUs requested",
        left="nothing",
    ):
        with pytest.raises(BakeError) as caught:
            launch(cloud)
        assert caught.value.message == (
            "--count 3 asks for 24 vCPUs at once, and the account's quota 'Running On-Demand Standard"
            " (A, C, D, H, I, M, R, T, Z) instances' (L-1216C47A) is 16"
        )
        assert [action for action in MAKES if cloud.requests_for(action)] == []


def test_min_workers_accepts_partial_capacity(cloud, capsys, fault_row):
    cloud.fault("capacity", where={"InstanceType": BIG}, count=2, times=0)

    with fault_row(
        "At launch",
        "a zone has capacity for some of the workers, enough for `--min-workers`",
        "one request starts as many as possible; the launcher reports their number",
        left="the cluster, with fewer workers",
    ):
        assert launch(cloud, head_type=(SMALL,), count=5, min_workers=3) == 0
        output = capsys.readouterr()
        assert len(json.loads(output.out)["nodes"]) == 3
        assert "AWS had capacity for 2 of 4 worker nodes" in " ".join(output.err.split())


def test_workers_reclaimed_at_once_are_restarted_once_and_then_end_the_launch(cloud, fault_row):
    cloud.fault("terminated", where={"MaxCount": "2"}, code="Server.SpotInstanceTermination", times=0)

    with fault_row(
        "At launch",
        "EC2 reclaims spot workers while they start, twice (`Server.SpotInstanceTermination`)",
        "the launcher tries two zones; exit code 1, with EC2's reason",
        left="nothing",
    ):
        with pytest.raises(NotReadyError, match=r"ended while the cluster was.*SpotInstanceTermination"):
            launch(cloud, spot=True)
        assert [(role, zone) for role, _, zone, _, _ in run_requests(cloud)] == [
            ("head", "a"),
            ("worker", "a"),
            ("head", "b"),
            ("worker", "b"),
        ]
        assert left(cloud) == []


REFUSED = [
    ({"keyname": "nobodys"}, "--keyname nobodys: there is no such key pair in this region"),
    ({"iaminstance_name": "nobodys"}, "--iaminstance-name nobodys: there is no such instance profile"),
    ({"placement_group": "nobodys"}, "--placement-group nobodys: there is no such group in this region"),
    ({"security_group": "nobodys"}, "--security-group nobodys: there is no such group in this region"),
    (
        {"security_group_id": "sg-0123456789abcdef0"},
        "--security-group-id sg-0123456789abcdef0: there is no such",
    ),
    (
        {"cidr": ("sg-0123456789abcdef0",)},
        "--cidr sg-0123456789abcdef0: there is no such group in this region",
    ),
    ({"subnet_id": "subnet-12345678"}, "--subnet-id subnet-12345678: there is no such subnet in this region"),
    ({"vpc_id": "vpc-12345678"}, "--vpc-id vpc-12345678: there is no subnet in such a VPC here"),
    ({"zone": ("us-east-1z",)}, "--zone us-east-1z: there is no subnet to launch into there"),
    ({"type": ("m99.huge",)}, "m99.huge"),
    ({"type": ("m6g.2xlarge",)}, "the type m6g.2xlarge is arm64"),
    ({"count": 10_000}, "--count 10000 needs as many free addresses"),
    ({"volume_size": 1}, "--volume-size is 1 GiB, and the image ami-00000000000000001 needs"),
]


@pytest.mark.parametrize(("options", "message"), REFUSED)
def test_missing_resources_are_refused_before_anything_is_made(cloud, options, message):
    with pytest.raises(BakeError) as caught:
        launch(cloud, **options)

    assert message in caught.value.message
    assert [action for action in MAKES if cloud.requests_for(action)] == []
    assert left(cloud) == []


def test_a_group_of_another_vpc_is_refused_with_both_vpcs_named(cloud):
    other = cloud.ec2.create_vpc(CidrBlock="10.77.0.0/16")["Vpc"]["VpcId"]
    cloud.ec2.create_security_group(GroupName="theirs", Description="x", VpcId=other)
    here = cloud.ec2.describe_subnets()["Subnets"][0]["VpcId"]
    cloud.forget_requests()

    with pytest.raises(UsageError) as caught:
        launch(cloud, security_group="theirs")

    assert caught.value.message == (
        f"--security-group theirs is in the VPC {other}, and the launch is in {here}"
    )
    assert [action for action in MAKES if cloud.requests_for(action)] == []


def test_existing_resources_are_used(cloud, capsys):
    cloud.ec2.create_key_pair(KeyName="mine")
    cloud.ec2.create_placement_group(GroupName="near", Strategy="cluster")
    group = cloud.ec2.create_security_group(GroupName="ours", Description="x")["GroupId"]
    cloud.client("iam").create_instance_profile(InstanceProfileName="s3")

    launch(cloud, keyname="mine", placement_group="near", security_group="ours", iaminstance_name="s3")

    reservations = cloud.ec2.describe_instances()["Reservations"]
    instances = [instance for reservation in reservations for instance in reservation["Instances"]]
    assert len(instances) == 3
    for instance in instances:
        assert (instance["KeyName"], instance["Placement"]["GroupName"]) == ("mine", "near")
        assert instance["IamInstanceProfile"]["Arn"].endswith("/s3")
        assert group in [each["GroupId"] for each in instance["SecurityGroups"]]


def test_ssh_uses_the_endpoint_whose_groups_the_head_allows(cloud, tmp_path, monkeypatch):
    """Without the option the AWS CLI would choose either of the two endpoints."""
    program = tmp_path / "aws"
    program.write_text("#!/bin/sh\necho aws-cli/2.15.30\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    *_, subnet = cloud.ec2.describe_subnets()["Subnets"]
    groups = [
        cloud.ec2.create_security_group(GroupName=name, Description="x", VpcId=subnet["VpcId"])["GroupId"]
        for name in ("first", "second")
    ]
    endpoints = [
        cloud.ec2.create_instance_connect_endpoint(
            SubnetId=subnet["SubnetId"], SecurityGroupIds=[group], PreserveClientIp=False
        )["InstanceConnectEndpoint"]["InstanceConnectEndpointId"]
        for group in groups
    ]
    carriers = []

    assert launch(cloud, connect=Connect.EICE, private=True, carriers=carriers) == 0

    (chosen,) = {transport.endpoint for transport in carriers}
    found = cloud.ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": ["*/ssh"]}])
    let_in = [
        pair["GroupId"]
        for group in found["SecurityGroups"]
        for rule in group["IpPermissions"]
        for pair in rule["UserIdGroupPairs"]
    ]
    assert let_in == [groups[endpoints.index(chosen)]]
    there = clouds.local_cloud(cloud.url, KEY_PAIR, None)
    assert find(api.connect(there, lambda _: None), there, None).endpoint == chosen


def test_a_dry_run_shows_permissions_and_cost_and_makes_nothing(cloud, capsys):
    assert launch(cloud, dry_run=True) == 0

    plan = document(capsys)
    assert [(each["operation"], each["what"], each["allowed"]) for each in plan["permissions"]] == [
        ("CreateSecurityGroup", "its group", True),
        ("AuthorizeSecurityGroupIngress", "its group", None),
        ("RunInstances", "the head", True),
        ("RunInstances", "the workers", True),
    ]
    assert plan["cost"] == {"dollars_per_hour": 0, "items": []}
    assert [place["zone"] for place in plan["places"]] == ["us-east-1a", "us-east-1b", "us-east-1c"]
    requests = [request for action in MAKES for request in cloud.requests_for(action)]
    assert {request["parameters"].get("DryRun") for request in requests} == {"true"}
    assert left(cloud) == []


def test_a_dry_run_fails_and_names_missing_permissions(cloud, capsys):
    cloud.fault("error", "RunInstances", code="UnauthorizedOperation", where={"MaxCount": "2"})
    (vpc,) = cloud.ec2.describe_vpcs()["Vpcs"]
    cloud.ec2.create_security_group(GroupName="storage", Description="mine", VpcId=vpc["VpcId"])

    with pytest.raises(BakeError) as caught:
        launch(cloud, dry_run=True, security_group="storage")

    assert caught.value.message == "these AWS credentials may not call ec2:RunInstances for the workers"
    assert caught.value.exit_code == 1
    assert [each["allowed"] for each in document(capsys)["permissions"]] == [True, None, True, False]


def test_a_dry_run_accepts_refusals_by_a_policy_for_own_groups_only(cloud, capsys):
    cloud.fault("error", "RunInstances", code="UnauthorizedOperation")
    cloud.fault("error", "RunInstances", code="UnauthorizedOperation")

    assert launch(cloud, dry_run=True) == 0
    permissions = document(capsys)["permissions"][2:]
    assert [(each["allowed"], each["why"]) for each in permissions] == 2 * [(None, NOT_CERTAIN)]
