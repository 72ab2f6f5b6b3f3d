"""Conversion of EC2's responses to dask-bake's own types."""

import base64
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from dask_bake.errors import BakeError
from dask_bake.models.cloud import Market, Role
from dask_bake.models.cluster import Node, number_of
from dask_bake.models.credentials import TemporaryCredentials
from dask_bake.models.ec2 import (
    ConnectEndpoint,
    DataDisk,
    Image,
    ImageSettings,
    InstanceType,
    NodeTemplate,
    PlacementGroup,
    Rule,
    SecurityGroup,
    Snapshot,
    Subnet,
)
from dask_bake.models.tags import Tag, Tags
from dask_bake.system.text import printable

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import (
        Ec2InstanceConnectEndpointTypeDef,
        ImageTypeDef,
        InstanceTypeDef,
        InstanceTypeInfoTypeDef,
        IpPermissionOutputTypeDef,
        PlacementGroupTypeDef,
        SecurityGroupTypeDef,
        SubnetTypeDef,
    )

END_TIME = re.compile(r"\((\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) (?:GMT|UTC)\)")
"""The time in an instance's state reason: ``User initiated (2026-01-02 03:04:05 GMT)``."""


def image(answer: "ImageTypeDef") -> Image:
    """Return an image; ``created`` is the epoch if the response has no time."""
    return Image(
        id=answer["ImageId"],
        name=answer.get("Name", ""),
        state=answer.get("State", "available"),
        created=_parse_time(answer.get("CreationDate")),
        architecture=answer.get("Architecture", "x86_64"),
        root_device=answer.get("RootDeviceName") or "/dev/xvda",
        root_size=_root_disk(answer).get("VolumeSize"),
        snapshot_id=_root_disk(answer).get("SnapshotId"),
        data_disks=tuple(_data_disks(answer)),
        tags=tags(answer.get("Tags")),
    )


def subnet(answer: "SubnetTypeDef") -> Subnet:
    """Return a subnet."""
    return Subnet(
        id=answer["SubnetId"],
        vpc_id=answer["VpcId"],
        zone=answer["AvailabilityZone"],
        free_addresses=answer.get("AvailableIpAddressCount", 0),
        is_public=answer.get("MapPublicIpOnLaunch", False),
    )


def instance_type(answer: "InstanceTypeInfoTypeDef") -> InstanceType:
    """Return an instance type."""
    return InstanceType(
        name=answer["InstanceType"],
        vcpus=answer["VCpuInfo"]["DefaultVCpus"],
        architectures=tuple(answer["ProcessorInfo"]["SupportedArchitectures"]),
        memory=answer.get("MemoryInfo", {}).get("SizeInMiB", 0),
        can_be_spot="spot" in answer.get("SupportedUsageClasses", ["spot"]),
        # Bare-metal types have no hypervisor; their console is Nitro's.
        has_live_console=answer.get("Hypervisor", "nitro") == "nitro",
    )


def group(answer: "SecurityGroupTypeDef") -> SecurityGroup:
    """Return a security group."""
    return SecurityGroup(
        id=answer["GroupId"],
        name=answer["GroupName"],
        vpc_id=answer.get("VpcId", ""),
        tags=tags(answer.get("Tags")),
        rules=tuple(rule for each in answer.get("IpPermissions", []) for rule in _rules(each)),
    )


def placement_group(answer: "PlacementGroupTypeDef") -> PlacementGroup:
    """Return a placement group."""
    return PlacementGroup(
        name=answer.get("GroupName", ""),
        state=answer.get("State", "available"),
        strategy=answer.get("Strategy", ""),
    )


def connect_endpoint(answer: "Ec2InstanceConnectEndpointTypeDef") -> ConnectEndpoint:
    """Return an Instance Connect endpoint."""
    return ConnectEndpoint(
        id=answer["InstanceConnectEndpointId"],
        vpc_id=answer.get("VpcId", ""),
        subnet_id=answer.get("SubnetId", ""),
        group_ids=tuple(answer.get("SecurityGroupIds", [])),
        keeps_address=answer.get("PreserveClientIp", False),
    )


def _rules(answer: "IpPermissionOutputTypeDef") -> Iterator[Rule]:
    port = answer.get("FromPort") if answer.get("IpProtocol") != "-1" else None
    sources = [(each["CidrIp"], each.get("Description", "")) for each in answer.get("IpRanges", [])]
    sources += [(each["CidrIpv6"], each.get("Description", "")) for each in answer.get("Ipv6Ranges", [])]
    sources += [
        (each.get("GroupId", ""), each.get("Description", "")) for each in answer.get("UserIdGroupPairs", [])
    ]
    for source, description in sources:
        yield Rule(source, description, port)


def node(answer: "InstanceTypeDef") -> Node:
    """Return a node; its number is its place in its request, counted from the request's first number."""
    tagged = tags(answer.get("Tags"))
    role = _role(dict(tagged).get(Tag.ROLE, ""))
    first = number_of(dict(tagged).get(Tag.FIRST_INDEX, "")) or 1  # requests of older versions have no tag
    return Node(
        id=answer["InstanceId"],
        index=0 if role is Role.HEAD else first + answer.get("AmiLaunchIndex", 0),
        role=role,
        state=answer["State"]["Name"],
        private_address=answer.get("PrivateIpAddress", ""),
        public_address=answer.get("PublicIpAddress") or None,
        instance_type=answer.get("InstanceType", ""),
        zone=answer.get("Placement", {}).get("AvailabilityZone", ""),
        launched=answer.get("LaunchTime", datetime.fromtimestamp(0, UTC)),
        image_id=answer.get("ImageId", ""),
        state_reason=_reason(answer.get("StateReason", {})),
        ended=end_time(answer),
        market=Market.SPOT if answer.get("InstanceLifecycle") == "spot" else Market.ON_DEMAND,
        tags=tagged,
    )


def node_template(answer: "InstanceTypeDef", user_data: str) -> NodeTemplate:
    """Return what a node was made by; the user-data is in base64, as EC2 returns it."""
    profile = answer.get("IamInstanceProfile", {}).get("Arn", "")
    return NodeTemplate(
        image_id=answer.get("ImageId", ""),
        vpc_id=answer.get("VpcId", ""),
        subnet_id=answer.get("SubnetId", ""),
        security_group_ids=tuple(each["GroupId"] for each in answer.get("SecurityGroups", [])),
        user_data=base64.b64decode(user_data).decode(errors="replace") or None,
        has_public_address=bool(answer.get("PublicIpAddress")),
        key_name=answer.get("KeyName") or None,
        instance_profile=profile.rpartition("/")[2] or None,
        placement_group=answer.get("Placement", {}).get("GroupName") or None,
    )


def _role(tagged: str) -> Role | None:
    return Role(tagged) if tagged in tuple(Role) else None


def end_time(answer: Mapping[str, Any]) -> datetime | None:
    """Return when an instance ended; ``None`` for one that has not, or if EC2 does not say."""
    found = END_TIME.search(answer.get("StateTransitionReason", ""))
    return datetime.fromisoformat(found[1]).replace(tzinfo=UTC) if found else None


def _reason(answer: Mapping[str, Any]) -> str:
    """Return the reason for the instance's state, beginning with EC2's code."""
    code, message = answer.get("Code", ""), answer.get("Message", "")
    return message if message.startswith(code) else f"{code}: {message}" if message else code


def tags(answer: Iterable[Mapping[str, Any]] | None) -> Tags:
    """Return tags, sorted by key, each on one line: whoever may tag wrote them."""
    return tuple(
        sorted((printable(tag["Key"], keep=""), printable(tag["Value"], keep="")) for tag in answer or ())
    )


def _root_disk(answer: "ImageTypeDef") -> Mapping[str, Any]:
    for mapping in answer.get("BlockDeviceMappings", []):
        if mapping.get("DeviceName") == answer.get("RootDeviceName"):
            return mapping.get("Ebs", {})
    return {}


def _data_disks(answer: "ImageTypeDef") -> Iterator[DataDisk]:
    for mapping in answer.get("BlockDeviceMappings", []):
        if "Ebs" in mapping and mapping.get("DeviceName") != answer.get("RootDeviceName"):
            yield DataDisk(mapping.get("DeviceName", ""), mapping["Ebs"].get("VolumeSize"))


def _parse_time(text: str | None) -> datetime:
    if not text:
        return datetime.fromtimestamp(0, UTC)
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def snapshot(answer: Mapping[str, Any]) -> Snapshot:
    """Return a snapshot; ``started`` is the epoch if the response has no time."""
    return Snapshot(
        id=answer["SnapshotId"],
        volume_size=answer.get("VolumeSize", 0),
        started=answer.get("StartTime", datetime.fromtimestamp(0, UTC)),
        bytes=answer.get("FullSnapshotSizeInBytes"),
        encrypted=answer.get("Encrypted", False),
        tags=tags(answer.get("Tags")),
    )


def settings(answer: Mapping[str, Any], permissions: Iterable[Mapping[str, str]]) -> ImageSettings:
    """Return an image's settings; each permission names an account, an organisation or a group."""
    deprecation = answer.get("DeprecationTime")
    return ImageSettings(
        description=answer.get("Description") or "",
        deprecation=datetime.fromisoformat(deprecation.replace("Z", "+00:00")) if deprecation else None,
        requires_tokens=answer.get("ImdsSupport") == "v2.0",
        shared_with=tuple(sorted(name for permission in permissions for name in permission.values())),
    )


def user(answer: Mapping[str, Any]) -> str:
    """Return the instance's cluster, or its own id if it has none."""
    return dict(tags(answer.get("Tags"))).get(Tag.CLUSTER) or str(answer["InstanceId"])


def broken(image_id: str, region: str, state: str, answers: Sequence[Mapping[str, Any]]) -> BakeError:
    """Return the error for an image that will never become available."""
    reason = answers[0].get("StateReason", {}).get("Message", "") if answers else "somebody removed it"
    return BakeError(
        f"the image {image_id} in {region} is {state}: {reason or 'EC2 does not say why'}", hint="try again"
    )


def temporary_credentials(answer: Mapping[str, Any]) -> TemporaryCredentials:
    """Return credentials of STS."""
    return TemporaryCredentials(
        answer["AccessKeyId"], answer["SecretAccessKey"], answer["SessionToken"], answer["Expiration"]
    )
