"""Table of the AWS permissions by purpose and option: actions, resources, conditions.

Sources: the service authorization reference (resources and conditions of each action), and Packer's requests.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from dask_bake.models.cloud import DEBIAN_ACCOUNT
from dask_bake.models.tags import Tag

ACCOUNT, ROLE, KEY = "ACCOUNT", "ROLE", "KEY"
"""Placeholders in a policy for the account number, the nodes' role and the KMS key."""


class Purpose(StrEnum):
    """A purpose that needs permissions; ``launch`` includes listing clusters and ending them."""

    LAUNCH = "launch"
    BAKE = "bake"
    IMAGES = "images"
    REAP = "reap"


class Extra(StrEnum):
    """An option, a value of ``--connect`` or a command that needs further permissions."""

    SPOT = "spot"
    PROFILE = "iaminstance-name"
    KEYNAME = "keyname"
    NO_PROVISION = "no-provision"
    PLACEMENT_GROUP = "placement-group"
    SECURITY_GROUP = "security-group"
    EICE = "eice"
    SSM = "ssm"
    KMS_KEY = "kms-key"
    SCALE = "scale"


Need = Purpose | Extra
Condition = Mapping[str, Mapping[str, str | tuple[str, ...]]]


@dataclass(frozen=True)
class Grant:
    """Actions that one of the needs requires; grants with the same ``sid`` become one statement."""

    sid: str
    needs: tuple[Need, ...]
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    condition: Condition


def _ec2(kind: str) -> str:
    account = "" if kind in ("image", "snapshot") else ACCOUNT
    return f"arn:aws:ec2:*:{account}:{kind}/*"


def _grant(
    sid: str,
    needs: tuple[Need, ...],
    actions: str,
    resources: str,
    condition: Condition | None = None,
) -> Grant:
    """Return a grant; bare action names are EC2's, and bare resources are EC2 resource types."""
    on = tuple(each if each == "*" or ":" in each else _ec2(each) for each in resources.split())
    of = tuple(each if ":" in each else f"ec2:{each}" for each in actions.split())
    return Grant(sid, needs, of, on, condition or {})


def _equals(key: str, *values: str) -> Condition:
    return {"StringEquals": {key: values[0] if len(values) == 1 else values}}


LAUNCH, BAKE, IMAGES, REAP = ((each,) for each in Purpose)
NODES = LAUNCH + BAKE
TAGGED_MANAGED = _equals(f"aws:RequestTag/{Tag.MANAGED}", "true")
IS_MANAGED = _equals(f"aws:ResourceTag/{Tag.MANAGED}", "true")
IMDSV2_ONLY: Condition = {
    "StringEquals": {**TAGGED_MANAGED["StringEquals"], "ec2:MetadataHttpTokens": "required"}
}

GRANTS = (
    # Read-only: most of EC2's Describe actions support no resources. Quotas and prices are optional.
    _grant("Look", NODES + IMAGES, "DescribeImages DescribeInstances", "*"),
    _grant("Look", NODES, "DescribeSubnets DescribeSecurityGroups DescribeKeyPairs", "*"),
    _grant("Look", NODES, "DescribeInstanceTypes DescribeInstanceTypeOfferings", "*"),
    _grant("Look", LAUNCH, "servicequotas:GetServiceQuota pricing:GetProducts", "*"),
    _grant("Look", BAKE, "DescribeInstanceStatus DescribeRegions DescribeSnapshots DescribeVolumes", "*"),
    _grant("Look", IMAGES, "DescribeRegions DescribeSnapshots DescribeImageAttribute", "*"),
    _grant("Look", REAP, "DescribeInstances DescribeSecurityGroups DescribeKeyPairs DescribeVolumes", "*"),
    _grant("Look", REAP, "DescribeNetworkInterfaces DescribeRegions pricing:GetProducts", "*"),
    _grant("Look", (Extra.SPOT,), "DescribeSpotPriceHistory", "*"),
    _grant("Look", (Extra.PLACEMENT_GROUP,), "DescribePlacementGroups", "*"),
    _grant("Look", (Extra.EICE,), "DescribeInstanceConnectEndpoints", "*"),
    # Security groups of a cluster.
    _grant("MakeGroups", NODES, "CreateSecurityGroup", "security-group", TAGGED_MANAGED),
    _grant("MakeGroupsIn", NODES, "CreateSecurityGroup", "vpc"),
    _grant(
        "OwnGroups", NODES, "AuthorizeSecurityGroupIngress DeleteSecurityGroup", "security-group", IS_MANAGED
    ),
    _grant("OwnGroups", LAUNCH, "RevokeSecurityGroupIngress", "security-group", IS_MANAGED),
    # Nodes, tagged with all their resources; Packer 1.6 cannot require IMDSv2 and tags no interface.
    _grant("StartNodes", LAUNCH, "RunInstances", "instance", IMDSV2_ONLY),
    _grant("StartBakes", BAKE, "RunInstances", "instance", TAGGED_MANAGED),
    _grant("StartDisks", NODES, "RunInstances", "volume", TAGGED_MANAGED),
    _grant("StartInSubnets", NODES, "RunInstances", "subnet network-interface"),
    _grant("StartInOwnGroups", NODES, "RunInstances", "security-group", IS_MANAGED),
    _grant("StartFromOwnImages", NODES, "RunInstances", "image", _equals("ec2:Owner", ACCOUNT)),
    _grant("StartFromDebian", BAKE, "RunInstances", "image", _equals("ec2:Owner", DEBIAN_ACCOUNT)),
    _grant(
        "TagWhatIsMade",
        NODES,
        "CreateTags",
        "instance volume network-interface security-group",
        _equals("ec2:CreateAction", "RunInstances", "CreateSecurityGroup"),
    ),
    _grant("OwnNodes", NODES, "TerminateInstances GetConsoleOutput", "instance", IS_MANAGED),
    # Leftovers of clusters.
    _grant("OwnNodes", REAP, "TerminateInstances", "instance", IS_MANAGED),
    _grant("OwnGroups", REAP, "DeleteSecurityGroup", "security-group", IS_MANAGED),
    _grant("OwnKeys", REAP, "DeleteKeyPair", "key-pair", IS_MANAGED),
    _grant("OwnDisks", REAP, "DeleteVolume", "volume", IS_MANAGED),
    _grant("OwnInterfaces", REAP, "DeleteNetworkInterface", "network-interface", IS_MANAGED),
    # Options.
    _grant("StartSpot", (Extra.SPOT,), "RunInstances", "spot-instances-request", TAGGED_MANAGED),
    _grant(
        "TagSpot",
        (Extra.SPOT,),
        "CreateTags",
        "spot-instances-request",
        _equals("ec2:CreateAction", "RunInstances"),
    ),
    _grant(
        "FirstSpot",
        (Extra.SPOT,),
        "iam:CreateServiceLinkedRole",
        f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/spot.amazonaws.com/AWSServiceRoleForEC2Spot",
        _equals("iam:AWSServiceName", "spot.amazonaws.com"),
    ),
    _grant(
        "FindProfile",
        (Extra.PROFILE,),
        "iam:GetInstanceProfile",
        f"arn:aws:iam::{ACCOUNT}:instance-profile/*",
    ),
    _grant(
        "GiveRole",
        (Extra.PROFILE,),
        "iam:PassRole",
        f"arn:aws:iam::{ACCOUNT}:role/{ROLE}",
        _equals("iam:PassedToService", "ec2.amazonaws.com"),
    ),
    _grant("StartWithKeys", (Extra.KEYNAME,), "RunInstances", "key-pair"),
    _grant("MakeKeys", (Extra.NO_PROVISION,), "ImportKeyPair", "key-pair", TAGGED_MANAGED),
    _grant(
        "TagKeys",
        (Extra.NO_PROVISION,),
        "CreateTags",
        "key-pair",
        _equals("ec2:CreateAction", "ImportKeyPair"),
    ),
    _grant("OwnKeys", (Extra.NO_PROVISION,), "RunInstances DeleteKeyPair", "key-pair", IS_MANAGED),
    _grant("StartInPlacementGroups", (Extra.PLACEMENT_GROUP,), "RunInstances", "placement-group"),
    _grant("StartInAnyGroups", (Extra.SECURITY_GROUP,), "RunInstances", "security-group"),
    _grant(
        "ThroughEndpoints",
        (Extra.EICE,),
        "ec2-instance-connect:OpenTunnel",
        "instance-connect-endpoint",
        {"NumericEquals": {"ec2-instance-connect:remotePort": "22"}},
    ),
    _grant(
        "ThroughSessions",
        (Extra.SSM,),
        "ssm:StartSession",
        "instance",
        _equals(f"ssm:resourceTag/{Tag.MANAGED}", "true"),
    ),
    _grant("AsSsh", (Extra.SSM,), "ssm:StartSession", "arn:aws:ssm:*::document/AWS-StartSSHSession"),
    _grant(
        "OwnSessions",
        (Extra.SSM,),
        "ssmmessages:OpenDataChannel ssm:ResumeSession ssm:TerminateSession",
        "arn:aws:ssm:*:*:session/${aws:userid}-*",
    ),
    _grant(
        "EncryptWithKey",
        (Extra.KMS_KEY,),
        "kms:CreateGrant kms:Decrypt kms:DescribeKey kms:GenerateDataKeyWithoutPlaintext kms:ReEncryptFrom"
        " kms:ReEncryptTo",
        f"arn:aws:kms:*:{ACCOUNT}:key/{KEY}",
        {"StringLike": {"kms:ViaService": "ec2.*.amazonaws.com"}},
    ),
    # The number of nodes: new ones are like one that is there, and the head's tags have their number.
    _grant("OwnNodes", (Extra.SCALE,), "DescribeInstanceAttribute CreateTags", "instance", IS_MANAGED),
    _grant("OwnGroups", (Extra.SCALE,), "CreateTags", "security-group", IS_MANAGED),  # the lock's heartbeat
    # Images.
    _grant("OwnNodes", BAKE, "StopInstances", "instance", IS_MANAGED),
    _grant("MakeImagesOf", BAKE, "CreateImage", "instance", IS_MANAGED),
    _grant("MakeImages", BAKE, "CreateImage", "image snapshot"),
    _grant("CopyImages", IMAGES, "CopyImage", "image snapshot"),
    _grant("TagNewImages", BAKE + IMAGES, "CreateTags", "image snapshot", TAGGED_MANAGED),
    _grant("OwnImages", BAKE + IMAGES, "CreateTags DeleteSnapshot", "image snapshot", IS_MANAGED),
    _grant(
        "OwnImages",
        BAKE + IMAGES,
        "ModifyImageAttribute EnableImageDeprecation DeregisterImage",
        "image snapshot",
        IS_MANAGED,
    ),
    _grant("OwnImages", IMAGES, "ModifySnapshotAttribute", "image snapshot", IS_MANAGED),
)
