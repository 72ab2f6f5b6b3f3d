"""EC2 requests as pure functions, so that a dry run can print them."""

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

from dask_bake.models.cloud import Market
from dask_bake.models.ec2 import DataDisk, InstanceSpec, Rule
from dask_bake.models.tags import Tags


def tag_list(tags: Tags) -> Any:
    """Return the tags as EC2 takes them."""
    return [{"Key": key, "Value": value} for key, value in tags]


def tag_specifications(tags: Tags, *kinds: str) -> list[dict[str, Any]]:
    """Return the tags for each type of resource that the call creates."""
    return [{"ResourceType": kind, "Tags": tag_list(tags)} for kind in kinds]


def create_security_group(name: str, *, vpc_id: str, tags: Tags) -> dict[str, Any]:
    """Return a CreateSecurityGroup request; a unique group name locks the cluster's name."""
    return {
        "GroupName": name,
        "Description": "A Dask cluster: its nodes among themselves, and SSH from its owner",
        "VpcId": vpc_id,
        "TagSpecifications": tag_specifications(tags, "security-group"),
    }


def authorize(group_id: str, rules: Sequence[Rule]) -> dict[str, Any]:
    """Return an AuthorizeSecurityGroupIngress request for exactly these rules."""
    return {"GroupId": group_id, "IpPermissions": [_permission(rule, described=True) for rule in rules]}


def revoke(group_id: str, rules: Sequence[Rule]) -> dict[str, Any]:
    """Return a RevokeSecurityGroupIngress request; EC2 matches rules without their descriptions."""
    return {"GroupId": group_id, "IpPermissions": [_permission(rule, described=False) for rule in rules]}


def _permission(rule: Rule, *, described: bool) -> dict[str, Any]:
    ports = {"FromPort": rule.port, "ToPort": rule.port}
    what = {"IpProtocol": "-1"} if rule.port is None else {"IpProtocol": "tcp", **ports}
    words = {"Description": rule.description} if described else {}
    if rule.source.startswith("sg-"):
        return {**what, "UserIdGroupPairs": [{"GroupId": rule.source, **words}]}
    if ipaddress.ip_network(rule.source).version == 4:
        return {**what, "IpRanges": [{"CidrIp": rule.source, **words}]}
    return {**what, "Ipv6Ranges": [{"CidrIpv6": rule.source, **words}]}


def import_key_pair(name: str, *, public_key: str, tags: Tags) -> dict[str, Any]:
    """Return an ImportKeyPair request, for nodes that read no user-data."""
    return {
        "KeyName": name,
        "PublicKeyMaterial": public_key.encode(),
        "TagSpecifications": tag_specifications(tags, "key-pair"),
    }


def run_instances(spec: InstanceSpec) -> dict[str, Any]:
    """Return a RunInstances request: IMDSv2 only, encrypted disks, terminated on power-off."""
    request = {
        "ImageId": spec.image.id,
        "InstanceType": spec.instance_type,
        "MinCount": spec.least,
        "MaxCount": spec.count,
        "ClientToken": spec.client_token,
        "InstanceInitiatedShutdownBehavior": "terminate",
        "MetadataOptions": {
            "HttpEndpoint": "enabled",
            "HttpTokens": "required",
            "HttpPutResponseHopLimit": 1,
        },
        "BlockDeviceMappings": [
            {"DeviceName": spec.image.root_device, "Ebs": _root_disk(spec)},
            *({"DeviceName": disk.device, "Ebs": _data_disk(disk)} for disk in spec.image.data_disks),
        ],
        "NetworkInterfaces": [
            {
                "DeviceIndex": 0,
                "SubnetId": spec.subnet.id,
                "Groups": list(spec.security_group_ids),
                "AssociatePublicIpAddress": spec.has_public_address,
                "DeleteOnTermination": True,
            }
        ],
        "TagSpecifications": tag_specifications(spec.tags, *_kinds(spec)),
    }
    optional = {
        "UserData": spec.user_data,
        "KeyName": spec.key_name,
        "IamInstanceProfile": spec.instance_profile and {"Name": spec.instance_profile},
        "Placement": spec.placement_group and {"GroupName": spec.placement_group},
        "InstanceMarketOptions": _market(spec.market),
    }
    return request | {name: value for name, value in optional.items() if value is not None}


def _kinds(spec: InstanceSpec) -> tuple[str, ...]:
    kinds = ("instance", "volume", "network-interface")
    return (*kinds, "spot-instances-request") if spec.market is Market.SPOT else kinds


def _market(market: Market) -> dict[str, Any] | None:
    if market is Market.ON_DEMAND:
        return None
    once = {"SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "terminate"}
    return {"MarketType": "spot", "SpotOptions": once}


def _root_disk(spec: InstanceSpec) -> dict[str, Any]:
    optional = {
        "VolumeSize": spec.disk.size or spec.image.root_size,
        "VolumeInitializationRate": spec.disk.initialization_rate,
    }
    disk = {"VolumeType": spec.disk.type, "Encrypted": True, "DeleteOnTermination": True}
    return disk | {name: value for name, value in optional.items() if value is not None}


def _data_disk(disk: DataDisk) -> dict[str, Any]:
    """Return the changed settings of a data disk; EC2 takes the others from the image."""
    size = {} if disk.size is None else {"VolumeSize": disk.size}
    return {"Encrypted": True, "DeleteOnTermination": True} | size


def filters(values: Mapping[str, str | Sequence[str]]) -> list[dict[str, Any]]:
    """Return the filters of a Describe request."""
    return [{"Name": k, "Values": [v] if isinstance(v, str) else list(v)} for k, v in values.items()]
