"""Each option of a launch changes the plan, or the course of the launch, exactly as listed here.

Each case is two command lines that differ in one option. Both are parsed by the command, looked up in a fake
region and planned; the plans must differ in the listed lines and in no others.
"""

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email import message_from_string
from pathlib import Path

import pytest
import yaml

from dask_bake.cli.main import cli
from dask_bake.commands import launch as launch_command
from dask_bake.errors import NotReadyError, UsageError
from dask_bake.images.compatibility import Packages
from dask_bake.launch.bootstrap import bootstrap_files, keys_for
from dask_bake.launch.dry_run import planned_calls
from dask_bake.launch.executor import launch
from dask_bake.launch.plan import LaunchPlan
from dask_bake.models.ec2 import PlacementGroup, SecurityGroup, Subnet
from dask_bake.models.tags import Tag, Verified
from dask_bake.options.launch import LaunchOptions
from dask_bake.options.launch_table import OPTIONS
from dask_bake.options.parse import launch_options
from dask_bake.ssh.keypair import new_key
from dask_bake.view.terminal import Terminal
from fakes import (
    ARN,
    CLOUD,
    IMAGE,
    SUBNETS,
    TYPES,
    FakeClock,
    FakeCloud,
    FakeHeadConnection,
    FakeQueries,
    a_target,
)

BAKED = replace(
    IMAGE,
    root_size=10,
    tags=((Tag.MANAGED, "true"), (Tag.PYTHON, "3.11.7"), (Tag.USER, "admin"), (Tag.VERIFIED, Verified.YES)),
)
OTHER = replace(
    BAKED,
    id="ami-other",
    created=datetime(2025, 1, 1, tzinfo=UTC),
    tags=(*BAKED.tags, (Tag.ENVIRONMENT, "torch")),
)
ELSEWHERE = Subnet("subnet-9", "vpc-9", "us-east-1c", 4091)
OWN_GROUP = SecurityGroup("sg-11111111", "ours", "vpc-1")


class Region(FakeQueries):
    """A fake region with everything that the cases name."""

    def __init__(self) -> None:
        super().__init__(
            images={"self": (BAKED, OTHER)},
            types=TYPES,
            security_groups=(OWN_GROUP,),
            all_subnets=(*SUBNETS, ELSEWHERE),
            placement_groups={"near": PlacementGroup("near", "available", "cluster")},
            key_names=("mine",),
            profiles=("s3", "ssm"),
        )

    def subnets(self, *, vpc_id=None, subnet_id=None):
        found = super().subnets(vpc_id=vpc_id, subnet_id=subnet_id)
        return SUBNETS if vpc_id is subnet_id is None else found

    def offerings(self, names):
        return frozenset((name, subnet.zone) for name in names for subnet in self.all_subnets)


def flags(line: str) -> dict[str, object]:
    """Return the parsed flags of a launch command line."""
    command = cli.commands["launch"]
    values = command.make_context("launch", shlex.split(line)).params
    return {option.name: values[option.name] for option in OPTIONS}


def options_of(line: str) -> LaunchOptions:
    given = flags(line)
    return launch_options({**given, "name": given["name"] or "dask"}, {})


def plan_of(line: str) -> LaunchPlan:
    options = options_of(line)
    target = a_target(options, CLOUD, Region())
    keys = keys_for(options)
    if options.keypair is None:
        pair = replace(keys.pair, public="ssh-ed25519 a-new-key")
        keys = replace(keys, pair=pair)
    return LaunchPlan(options, target, "launch1", bootstrap_files(options, keys))


def lines_of(plan: LaunchPlan) -> set[str]:
    """Return the plan as lines, one for each value."""
    lines = {
        f"place {number}: {place.subnet.id} {'|'.join(kind.name for kind in place.head_types)}"
        f" {'|'.join(kind.name for kind in place.worker_types)} {place.market}"
        for number, place in enumerate(plan.candidates, start=1)
    }
    runs = iter(("head", "workers"))
    for call in planned_calls(plan):
        parameters = dict(call.parameters)
        who = parameters.get("GroupName") or parameters.get("GroupId") or parameters.get("KeyName")
        name = next(runs) if call.operation == "RunInstances" else f"{call.operation} {who}"
        parameters.pop("ClientToken", None)
        user_data = parameters.pop("UserData", None)
        tagged = parameters.pop("TagSpecifications", [])
        lines |= {f"{name}: tagged {each['ResourceType']}" for each in tagged}
        lines |= {f"{name}: tag {tag['Key']}={tag['Value']}" for each in tagged for tag in each["Tags"]}
        lines |= {f"{name}: {line}" for line in flattened(parameters)}
        if user_data is not None:
            lines |= {f"{name}: user-data {line}" for line in user_data_lines(user_data)}
    return lines


def flattened(value: object, path: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield from flattened(each, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list):
        for each in value:
            yield from flattened(each, path)
    else:
        yield f"{path}={value!r}" if not isinstance(value, str) else f"{path}={value}"


def user_data_lines(user_data: str) -> Iterator[str]:
    """Yield the content of user-data line by line; of certificates and keys only path and permissions."""
    parts = message_from_string(user_data).walk() if user_data.startswith("MIME-Version") else (user_data,)
    texts = [part if isinstance(part, str) else part.get_payload() for part in parts]
    for document in (yaml.safe_load(text) for text in texts if isinstance(text, str)):
        for file in document.pop("write_files", []):
            yield from lines_of_file(file["path"], file["permissions"], file["content"])
        yield from flattened(document)


def lines_of_file(path: str, permissions: str, content: str) -> Iterator[str]:
    if "-----BEGIN" in content:
        yield f"{path} {permissions}"
    elif content.startswith("{"):
        yield from (f"{path} {line}" for line in flattened(json.loads(content)))
    else:
        yield from (f"{path} {line}" for line in content.splitlines())


def on_both(*lines: str) -> tuple[str, ...]:
    """Return the lines for the head and for the workers."""
    return tuple(f"{role}: {line}" for line in lines for role in ("head", "workers"))


def credentials(source: str) -> tuple[str, ...]:
    """Return the lines of a node whose tasks get AWS credentials."""
    uri = "AWS_CONTAINER_CREDENTIALS_FULL_URI=http://127.0.0.1:786/credentials"
    token = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=/run/dask-bake/credentials-token"
    file = "user-data /etc/dask-bake/credentials.env"
    return (
        f"tag dask-bake:credentials={source}",
        *(f"{file} {line}" for line in (f"DASK_BAKE_CREDENTIALS={source}", uri, token)),
        f'user-data {SESSIONS} SetEnv "{PATH}" "{uri}" "{token}"',
    )


OWNER = ("tag dask-bake:owner=anna", f"tag dask-bake:owner-arn={ARN}")


def group(name: str, cluster: str = "dask", vpc: str = "vpc-1") -> tuple[str, ...]:
    """Return the lines of a security group that is created."""
    lines = (
        f"GroupName={name}",
        "Description=A Dask cluster: its nodes among themselves, and SSH from its owner",
        f"VpcId={vpc}",
        "tagged security-group",
        f"tag Name=dask-bake-{cluster}",
        f"tag dask-bake:cluster={cluster}",
        "tag dask-bake:launch-id=launch1",
        "tag dask-bake:managed=true",
        *OWNER,
    )
    return tuple(f"CreateSecurityGroup {name}: {line}" for line in lines)


def ssh_rule(*lines: str) -> tuple[str, ...]:
    return tuple(f"AuthorizeSecurityGroupIngress sg-head: {line}" for line in lines)


def in_places(*places: str) -> tuple[str, ...]:
    return tuple(f"place {number}: {place}" for number, place in enumerate(places, start=1))


@dataclass(frozen=True)
class Case:
    """A command line that differs from ``base`` in one option, and the plan lines removed and added."""

    option: str
    line: str
    removed: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    base: str = ""


BIG = "m6i.2xlarge"
ONE_TYPE = in_places(f"subnet-1 {BIG} {BIG} on-demand", f"subnet-2 {BIG} {BIG} on-demand")
BOTH_SUBNETS = "head: tag dask-bake:subnets=subnet-1 subnet-2"
ENV, HEAD_ENV, WORKER_ENV = (
    "/etc/dask-bake/launch.env",
    "/etc/dask-bake/head.env",
    "/etc/dask-bake/worker.env",
)
LIMITS = "/etc/dask-bake/limits.env"
DASK, TLS = "/etc/dask/dask-bake.yaml", "/etc/dask-bake/tls"
SESSIONS = "/etc/ssh/sshd_config.d/40-dask-bake.conf"
DASK_USER_DATA = (
    f"head: user-data {HEAD_ENV} DASK_BAKE_CLUSTER=dask",
    f"head: user-data {DASK} scheduler-address=tcp://127.0.0.1:8786",
    "workers: tag dask-bake:nprocs=1",
    "workers: tag dask-bake:nthreads=8",
    f"workers: user-data {WORKER_ENV} DASK_BAKE_CLUSTER=dask",
    f"workers: user-data {WORKER_ENV} DASK_BAKE_NPROCS=1",
    f"workers: user-data {WORKER_ENV} DASK_BAKE_NTHREADS=8",
    f"workers: user-data {WORKER_ENV} DASK_BAKE_SCHEDULER=tcp://10.0.0.0:8786",
    f"workers: user-data {DASK} scheduler-address=tcp://10.0.0.0:8786",
)
LIMITS_USER_DATA = (
    f"head: user-data {LIMITS} DASK_BAKE_ROLE=head",
    f"head: user-data {LIMITS} DASK_BAKE_IDLE=1800",
    f"workers: user-data {LIMITS} DASK_BAKE_ROLE=worker",
    f"workers: user-data {LIMITS} DASK_BAKE_HEAD=10.0.0.0",
    *on_both(f"user-data {LIMITS} DASK_BAKE_CLUSTER=dask", f"user-data {LIMITS} DASK_BAKE_LIFETIME=43200"),
)
SPOT = (
    "workers: InstanceMarketOptions.MarketType=spot",
    "workers: InstanceMarketOptions.SpotOptions.InstanceInterruptionBehavior=terminate",
    "workers: InstanceMarketOptions.SpotOptions.SpotInstanceType=one-time",
    "workers: tagged spot-instances-request",
)
ENCRYPTED = (
    f"user-data {TLS}/ca.pem 0644",
    f"user-data {DASK} distributed.comm.default-scheme=tls",
    f"user-data {DASK} distributed.comm.require-encryption=True",
    f"user-data {DASK} distributed.comm.tls.ca-file={TLS}/ca.pem",
)
PATH = "PATH=/opt/dask/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

CASES = (
    Case(
        "name",
        "--name taxi",
        removed=(
            *group("dask-bake-dask"),
            *group("dask-bake-dask/ssh"),
            "head: tag Name=dask-head",
            "workers: tag Name=dask-worker",
            *on_both("tag dask-bake:cluster=dask"),
            f"head: user-data {HEAD_ENV} DASK_BAKE_CLUSTER=dask",
            f"workers: user-data {WORKER_ENV} DASK_BAKE_CLUSTER=dask",
            *on_both(f"user-data {LIMITS} DASK_BAKE_CLUSTER=dask"),
        ),
        added=(
            *group("dask-bake-taxi", "taxi"),
            *group("dask-bake-taxi/ssh", "taxi"),
            "head: tag Name=taxi-head",
            "workers: tag Name=taxi-worker",
            *on_both("tag dask-bake:cluster=taxi"),
            f"head: user-data {HEAD_ENV} DASK_BAKE_CLUSTER=taxi",
            f"workers: user-data {WORKER_ENV} DASK_BAKE_CLUSTER=taxi",
            *on_both(f"user-data {LIMITS} DASK_BAKE_CLUSTER=taxi"),
        ),
    ),
    Case(
        "count",
        "--count 5",
        removed=(
            "workers: MaxCount=3",
            "workers: MinCount=3",
            *on_both("tag dask-bake:count=4"),
            "head: tag dask-bake:next-index=4",
        ),
        added=(
            "workers: MaxCount=4",
            "workers: MinCount=4",
            *on_both("tag dask-bake:count=5"),
            "head: tag dask-bake:next-index=5",
        ),
    ),
    Case(
        "image_name",
        "--image torch",
        removed=on_both("ImageId=ami-0123456789abcdef0"),
        added=on_both("ImageId=ami-other"),
    ),
    Case(
        "ami",
        "--ami ami-other",
        removed=on_both("ImageId=ami-0123456789abcdef0"),
        added=on_both("ImageId=ami-other"),
    ),
    Case(
        "type",
        "--type m5.2xlarge,m6i.2xlarge",
        removed=(*ONE_TYPE, *on_both(f"InstanceType={BIG}"), f"head: tag dask-bake:types={BIG}"),
        added=(
            *in_places(
                f"subnet-1 m5.2xlarge|{BIG} m5.2xlarge|{BIG} on-demand",
                f"subnet-2 m5.2xlarge|{BIG} m5.2xlarge|{BIG} on-demand",
            ),
            *on_both("InstanceType=m5.2xlarge"),
            f"head: tag dask-bake:types=m5.2xlarge {BIG}",
        ),
    ),
    Case(
        "head_type",
        "--head-type m6i.large",
        removed=(*ONE_TYPE, f"head: InstanceType={BIG}"),
        added=(
            *in_places(f"subnet-1 m6i.large {BIG} on-demand", f"subnet-2 m6i.large {BIG} on-demand"),
            "head: InstanceType=m6i.large",
        ),
    ),
    Case(
        "nprocs",
        "--nprocs auto",
        removed=(
            "workers: tag dask-bake:nprocs=1",
            "workers: tag dask-bake:nthreads=8",
            f"workers: user-data {WORKER_ENV} DASK_BAKE_NPROCS=1",
            f"workers: user-data {WORKER_ENV} DASK_BAKE_NTHREADS=8",
        ),
        added=(
            "workers: tag dask-bake:nprocs=4",
            "workers: tag dask-bake:nthreads=2",
            f"workers: user-data {WORKER_ENV} DASK_BAKE_NPROCS=4",
            f"workers: user-data {WORKER_ENV} DASK_BAKE_NTHREADS=2",
        ),
    ),
    Case(
        "nthreads",
        "--nthreads 3",
        removed=(
            "workers: tag dask-bake:nthreads=8",
            f"workers: user-data {WORKER_ENV} DASK_BAKE_NTHREADS=8",
        ),
        added=(
            "workers: tag dask-bake:nthreads=3",
            f"workers: user-data {WORKER_ENV} DASK_BAKE_NTHREADS=3",
        ),
    ),
    Case(
        "memory_limit",
        "--memory-limit 4GiB",
        added=(f"workers: user-data {WORKER_ENV} DASK_BAKE_OPTIONS='--memory-limit 4GiB'",),
    ),
    Case(
        "worker_options",
        "--worker-options '--lifetime 1h'",
        added=(f"workers: user-data {WORKER_ENV} DASK_BAKE_OPTIONS='--lifetime 1h'",),
    ),
    Case(
        "scheduler_options",
        "--scheduler-options '--idle-timeout 1h'",
        added=(f"head: user-data {HEAD_ENV} DASK_BAKE_OPTIONS='--idle-timeout 1h'",),
    ),
    Case(
        "preload",
        "--preload dask.config --preload warm.py",
        added=(
            "workers: user-data /etc/dask-bake/preload/warm.py x = 1",
            f"workers: user-data {WORKER_ENV} DASK_BAKE_OPTIONS="
            "'--preload dask.config --preload /etc/dask-bake/preload/warm.py'",
        ),
    ),
    Case(
        "env",
        "--env A=1 --env 'B=x y'",
        added=on_both(
            f"user-data {ENV} A=1",
            f"user-data {ENV} B='x y'",
            f'user-data {SESSIONS} SetEnv "{PATH}" "A=1" "B=x y"',
        ),
    ),
    Case(
        "user_data",
        "--user-data extra.yaml",
        added=on_both("user-data final_message=hello", "user-data users=default"),
    ),
    Case(
        "volume_type",
        "--volume-type gp2",
        removed=(*on_both("BlockDeviceMappings.Ebs.VolumeType=gp3"), "head: tag dask-bake:disk=gp3 - -"),
        added=(*on_both("BlockDeviceMappings.Ebs.VolumeType=gp2"), "head: tag dask-bake:disk=gp2 - -"),
    ),
    Case(
        "volume_size",
        "--volume-size 50",
        removed=(*on_both("BlockDeviceMappings.Ebs.VolumeSize=10"), "head: tag dask-bake:disk=gp3 - -"),
        added=(*on_both("BlockDeviceMappings.Ebs.VolumeSize=50"), "head: tag dask-bake:disk=gp3 50 -"),
    ),
    Case(
        "volume_initialization_rate",
        "--volume-initialization-rate 200",
        removed=("head: tag dask-bake:disk=gp3 - -",),
        added=(
            *on_both("BlockDeviceMappings.Ebs.VolumeInitializationRate=200"),
            "head: tag dask-bake:disk=gp3 - 200",
        ),
    ),
    Case("placement_group", "--placement-group near", added=on_both("Placement.GroupName=near")),
    Case(
        "tag",
        "--tag who=me",
        added=(
            "CreateSecurityGroup dask-bake-dask: tag who=me",
            "CreateSecurityGroup dask-bake-dask/ssh: tag who=me",
            *on_both("tag who=me"),
        ),
    ),
    Case(
        "tags",
        "--tags who:me,what:it",
        added=(
            "CreateSecurityGroup dask-bake-dask: tag who=me",
            "CreateSecurityGroup dask-bake-dask: tag what=it",
            "CreateSecurityGroup dask-bake-dask/ssh: tag who=me",
            "CreateSecurityGroup dask-bake-dask/ssh: tag what=it",
            *on_both("tag who=me", "tag what=it"),
        ),
    ),
    Case(
        "provision",
        "--no-provision",
        removed=(
            *DASK_USER_DATA,
            *LIMITS_USER_DATA,
            *on_both("user-data ssh_authorized_keys=ssh-ed25519 a-new-key"),
            "head: tag dask-bake:idle-timeout=1800",
        ),
        added=(
            "head: tag dask-bake:idle-timeout=0",
            "ImportKeyPair dask-bake-dask: KeyName=dask-bake-dask",
            "ImportKeyPair dask-bake-dask: PublicKeyMaterial=b'ssh-ed25519 a-new-key'",
            "ImportKeyPair dask-bake-dask: tag Name=dask-bake-dask",
            "ImportKeyPair dask-bake-dask: tag dask-bake:cluster=dask",
            "ImportKeyPair dask-bake-dask: tag dask-bake:launch-id=launch1",
            "ImportKeyPair dask-bake-dask: tag dask-bake:managed=true",
            *(f"ImportKeyPair dask-bake-dask: {line}" for line in OWNER),
            "ImportKeyPair dask-bake-dask: tagged key-pair",
            *on_both("KeyName=dask-bake-dask", "tag dask-bake:without-dask=true"),
        ),
    ),
    Case(
        "dask",
        "--no-dask",
        removed=(*DASK_USER_DATA, "head: tag dask-bake:idle-timeout=1800"),
        added=("head: tag dask-bake:idle-timeout=0", *on_both("tag dask-bake:without-dask=true")),
    ),
    Case("notebook", "--no-notebook", added=("head: user-data /etc/dask-bake/no-notebook --no-notebook",)),
    Case(
        "zone",
        "--zone us-east-1b",
        removed=(*ONE_TYPE, *on_both("NetworkInterfaces.SubnetId=subnet-1"), BOTH_SUBNETS),
        added=(
            *in_places(f"subnet-2 {BIG} {BIG} on-demand"),
            *on_both("NetworkInterfaces.SubnetId=subnet-2"),
            "head: tag dask-bake:subnets=subnet-2",
        ),
    ),
    Case(
        "spot",
        "--spot",
        removed=(*ONE_TYPE, "head: tag dask-bake:market=on-demand"),
        added=(
            *in_places(f"subnet-1 {BIG} {BIG} spot", f"subnet-2 {BIG} {BIG} spot"),
            *SPOT,
            "head: tag dask-bake:market=spot",
            "head: tag dask-bake:keep-size=true",
        ),
    ),
    Case(
        "spot_with_fallback",
        "--spot-with-fallback",
        removed=(*ONE_TYPE, "head: tag dask-bake:market=on-demand"),
        added=(
            *in_places(
                f"subnet-1 {BIG} {BIG} spot",
                f"subnet-2 {BIG} {BIG} spot",
                f"subnet-1 {BIG} {BIG} on-demand",
                f"subnet-2 {BIG} {BIG} on-demand",
            ),
            *SPOT,
            "head: tag dask-bake:market=spot on-demand",
            "head: tag dask-bake:keep-size=true",
        ),
    ),
    Case(
        "min_workers",
        "--count 5 --nprocs 2 --min-workers 3",
        base="--count 5 --nprocs 2",
        removed=("workers: MinCount=4", *on_both("tag dask-bake:count=5")),
        added=("workers: MinCount=2", *on_both("tag dask-bake:count=3")),
    ),
    Case("keep_size", "--keep-size", added=("head: tag dask-bake:keep-size=true",)),
    Case(
        "max_lifetime",
        "--max-lifetime 1h30m",
        removed=on_both(f"user-data {LIMITS} DASK_BAKE_LIFETIME=43200"),
        added=on_both(f"user-data {LIMITS} DASK_BAKE_LIFETIME=5400"),
    ),
    Case(
        "idle_timeout",
        "--idle-timeout 0",
        removed=(f"head: user-data {LIMITS} DASK_BAKE_IDLE=1800", "head: tag dask-bake:idle-timeout=1800"),
        added=(f"head: user-data {LIMITS} DASK_BAKE_IDLE=0", "head: tag dask-bake:idle-timeout=0"),
    ),
    Case(
        "keep_on_failure",
        "--keep-on-failure",
        added=on_both(f"user-data {LIMITS} DASK_BAKE_KEEP_ON_FAILURE=true"),
    ),
    Case(
        "vpc_id",
        "--vpc-id vpc-9",
        removed=(
            "CreateSecurityGroup dask-bake-dask: VpcId=vpc-1",
            "CreateSecurityGroup dask-bake-dask/ssh: VpcId=vpc-1",
            *ONE_TYPE,
            *on_both("NetworkInterfaces.SubnetId=subnet-1"),
            BOTH_SUBNETS,
        ),
        added=(
            "CreateSecurityGroup dask-bake-dask: VpcId=vpc-9",
            "CreateSecurityGroup dask-bake-dask/ssh: VpcId=vpc-9",
            *in_places(f"subnet-9 {BIG} {BIG} on-demand"),
            *on_both("NetworkInterfaces.SubnetId=subnet-9"),
            "head: tag dask-bake:subnets=subnet-9",
        ),
    ),
    Case(
        "subnet_id",
        "--subnet-id subnet-2",
        removed=(*ONE_TYPE, *on_both("NetworkInterfaces.SubnetId=subnet-1"), BOTH_SUBNETS),
        added=(
            *in_places(f"subnet-2 {BIG} {BIG} on-demand"),
            *on_both("NetworkInterfaces.SubnetId=subnet-2"),
            "head: tag dask-bake:subnets=subnet-2",
        ),
    ),
    Case(
        "private",
        "--connect direct --private",
        base="--connect direct",
        removed=on_both("NetworkInterfaces.AssociatePublicIpAddress=True"),
        added=on_both("NetworkInterfaces.AssociatePublicIpAddress=False"),
    ),
    Case(
        "connect",
        "--iaminstance-name ssm --connect ssm",
        base="--iaminstance-name ssm",
        removed=(
            *group("dask-bake-dask/ssh"),
            *ssh_rule(
                "GroupId=sg-head",
                "IpPermissions.IpProtocol=tcp",
                "IpPermissions.FromPort=22",
                "IpPermissions.ToPort=22",
                "IpPermissions.IpRanges.CidrIp=192.0.2.7/32",
                "IpPermissions.IpRanges.Description=SSH from where the cluster was launched",
            ),
            "head: NetworkInterfaces.Groups=sg-head",
        ),
        added=on_both("tag dask-bake:connect=ssm"),
    ),
    Case(
        "bastion",
        "--connect bastion --cidr 10.0.0.5 --bastion two",
        base="--connect bastion --cidr 10.0.0.5 --bastion one",
        removed=on_both("tag dask-bake:bastion=one"),
        added=on_both("tag dask-bake:bastion=two"),
    ),
    Case(
        "cidr",
        "--cidr 198.51.100.0/24,sg-11111111",
        removed=ssh_rule("IpPermissions.IpRanges.CidrIp=192.0.2.7/32"),
        added=ssh_rule(
            "IpPermissions.IpRanges.CidrIp=198.51.100.0/24",
            "IpPermissions.UserIdGroupPairs.GroupId=sg-11111111",
            "IpPermissions.UserIdGroupPairs.Description=SSH from where the cluster was launched",
        ),
    ),
    Case(
        "security_group",
        "--security-group ours",
        added=on_both("NetworkInterfaces.Groups=sg-11111111"),
    ),
    Case(
        "security_group_id",
        "--security-group-id sg-11111111",
        added=on_both("NetworkInterfaces.Groups=sg-11111111"),
    ),
    Case(
        "tls",
        "--tls",
        removed=(
            f"head: user-data {DASK} scheduler-address=tcp://127.0.0.1:8786",
            f"workers: user-data {DASK} scheduler-address=tcp://10.0.0.0:8786",
            f"workers: user-data {WORKER_ENV} DASK_BAKE_SCHEDULER=tcp://10.0.0.0:8786",
        ),
        added=(
            *on_both("tag dask-bake:tls=true", *ENCRYPTED),
            f"head: user-data {DASK} scheduler-address=tls://127.0.0.1:8786",
            f"head: user-data {DASK} distributed.comm.tls.client.cert={TLS}/client.pem",
            f"head: user-data {DASK} distributed.comm.tls.scheduler.cert={TLS}/scheduler.pem",
            f"head: user-data {TLS}/client.pem 0600",
            f"head: user-data {TLS}/scheduler.pem 0600",
            f"workers: user-data {DASK} scheduler-address=tls://10.0.0.0:8786",
            f"workers: user-data {DASK} distributed.comm.tls.client.cert={TLS}/worker.pem",
            f"workers: user-data {DASK} distributed.comm.tls.worker.cert={TLS}/worker.pem",
            f"workers: user-data {TLS}/worker.pem 0600",
            f"workers: user-data {WORKER_ENV} DASK_BAKE_SCHEDULER=tls://10.0.0.0:8786",
        ),
    ),
    Case("keyname", "--keyname mine", added=on_both("KeyName=mine")),
    Case(
        "keypair",
        "--keypair key",
        removed=on_both("user-data ssh_authorized_keys=ssh-ed25519 a-new-key"),
        added=on_both("user-data ssh_authorized_keys=PUBLIC"),
    ),
    Case(
        "username",
        "--username me",
        removed=on_both("tag dask-bake:user=admin"),
        added=(
            *on_both("tag dask-bake:user=me", "user-data user.name=me"),
            f"head: user-data {HEAD_ENV} DASK_BAKE_USER=me",
        ),
    ),
    Case(
        "iaminstance_name",
        "--iaminstance-name s3",
        added=on_both("IamInstanceProfile.Name=s3", *credentials("profile")),
    ),
    Case("credentials", "--credentials forward", added=on_both(*credentials("forward"))),
)
NOT_IN_A_PLAN = ("timeout", "file", "allow_mismatch", "allow_wide_cidr")
"""Options that do not change the plan; each has a test of its own below."""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Change to a folder with the files that the cases name, and return the public key."""
    pair = new_key("me")
    (tmp_path / "key").touch(mode=0o600)
    (tmp_path / "key").write_text(pair.private)
    (tmp_path / "warm.py").write_text("x = 1\n")
    (tmp_path / "extra.yaml").write_text("#cloud-config\nfinal_message: hello\n")
    monkeypatch.chdir(tmp_path)
    return pair.public


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.option)
def test_an_option_changes_exactly_the_listed_lines_of_the_plan(case, here):
    before, after = lines_of(plan_of(case.base)), lines_of(plan_of(case.line))

    public = here.rpartition(" ")[0] if case.option == "keypair" else ""
    assert before - after == set(case.removed)
    assert {line.replace(public, "PUBLIC") if public else line for line in after - before} == set(case.added)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.option)
def test_a_case_is_two_command_lines_that_differ_in_its_option_only(case, here):
    with_it, without = flags(case.line), flags(case.base)

    assert [name for name in with_it if with_it[name] != without[name]] == [case.option]


def test_each_option_has_its_case():
    cases = [case.option for case in CASES if case.removed or case.added]

    assert sorted([*cases, *NOT_IN_A_PLAN]) == sorted(option.name for option in OPTIONS)
    assert all(f"def test_{name}_" in Path(__file__).read_text() for name in NOT_IN_A_PLAN)


# Options that do not change the plan


def time_waited(line: str) -> str:
    cloud, clock = FakeCloud(), FakeClock()
    connection = FakeHeadConnection(cloud, answers=False)
    with pytest.raises(NotReadyError) as caught:
        launch(plan_of(line), cloud, connection, notify=[].append, clock=clock, sleep=clock.sleep)
    return caught.value.message.partition(" for ")[0]


def test_timeout_limits_the_wait_of_a_launch():
    assert (time_waited(""), time_waited("--timeout 7")) == ("waited 300 s", "waited 7 s")


class Account(Region):
    """The fake region, in which instances can be started as well."""

    prices = None

    def __init__(self) -> None:
        super().__init__()
        self.cloud = FakeCloud()

    def __getattr__(self, name):
        return getattr(self.__dict__["cloud"], name)

    def groups(self, tags, *, name=None):
        return self.cloud.groups(tags, name=name)

    def nodes(self, tags):
        return self.cloud.nodes(tags)

    def console_output(self, instance_id):
        return self.cloud.console_output(instance_id)


def test_file_is_written_with_the_nodes(tmp_path, capsys):
    path = tmp_path / "cluster.yaml"
    line = "--allow-mismatch --count 2 --cidr 192.0.2.7"
    for given in (line, f"{line} --file {path}"):
        account = Account()
        written = path.exists()
        launch_command.run(
            options_of(given),
            CLOUD,
            account,
            Terminal(),
            dry_run=False,
            json_output=True,
            make_connection=lambda *_, account=account: FakeHeadConnection(account.cloud),
        )

    assert not written
    assert "i-0" in path.read_text()


def test_allow_mismatch_launches_an_image_of_another_python_version():
    def notes(line: str) -> tuple[str, ...]:
        return launch_command.notes(plan_of(line), Packages("2.7.18"), now=BAKED.created)

    with pytest.raises(UsageError, match=r"3\.11\.7.* 2\.7\.18"):
        notes("")
    assert re.search(r"3\.11\.7.* 2\.7\.18", notes("--allow-mismatch")[0])


def test_allow_wide_cidr_allows_a_wide_block():
    with pytest.raises(UsageError, match=r"--cidr 10\.0\.0\.0/8 "):
        plan_of("--cidr 10.0.0.0/8")

    lines = lines_of(plan_of("--cidr 10.0.0.0/8 --allow-wide-cidr"))
    assert set(ssh_rule("IpPermissions.IpRanges.CidrIp=10.0.0.0/8")) <= lines
