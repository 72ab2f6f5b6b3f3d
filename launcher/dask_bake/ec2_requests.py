"""The requests that make a cluster, as EC2 takes them: pure, so that a plan can show them."""

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

from dask_bake.models import Image, InstanceSpec, Tags


def tag_specifications(tags: Tags, *kinds: str) -> list[dict[str, Any]]:
    """The tags, for each kind of resource that the call makes."""
    return [{"ResourceType": kind, "Tags": [{"Key": k, "Value": v} for k, v in tags]} for kind in kinds]


def create_security_group(name: str, *, vpc_id: str, tags: Tags) -> dict[str, Any]:
    """CreateSecurityGroup: its name can be taken only once, so it locks the cluster's name."""
    return {
        "GroupName": name,
        "Description": "A Dask cluster: its nodes among themselves, and SSH from its owner",
        "VpcId": vpc_id,
        "TagSpecifications": tag_specifications(tags, "security-group"),
    }


def authorize(group_id: str, *, caller: str, members: bool = True) -> dict[str, Any]:
    """AuthorizeSecurityGroupIngress: SSH from the caller, all from the group's members, nothing else."""
    ssh: dict[str, Any] = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22}
    description = "SSH from where the cluster was launched"
    if ipaddress.ip_network(caller).version == 4:
        ssh["IpRanges"] = [{"CidrIp": caller, "Description": description}]
    else:
        ssh["Ipv6Ranges"] = [{"CidrIpv6": caller, "Description": description}]
    own = {"GroupId": group_id, "Description": "nodes of the cluster"}
    among = [{"IpProtocol": "-1", "UserIdGroupPairs": [own]}] if members else []
    return {"GroupId": group_id, "IpPermissions": [*among, ssh]}


def run_instances(spec: InstanceSpec) -> dict[str, Any]:
    """RunInstances: all or none, IMDSv2 only, an encrypted disk that goes with it, and power-off ends it."""
    return {
        "ImageId": spec.image.id,
        "InstanceType": spec.instance_type,
        "MinCount": spec.count,
        "MaxCount": spec.count,
        "ClientToken": spec.client_token,
        "UserData": spec.user_data,
        "InstanceInitiatedShutdownBehavior": "terminate",
        "MetadataOptions": {
            "HttpEndpoint": "enabled",
            "HttpTokens": "required",
            "HttpPutResponseHopLimit": 1,
        },
        "BlockDeviceMappings": [{"DeviceName": spec.image.root_device, "Ebs": _root_disk(spec.image)}],
        "NetworkInterfaces": [
            {
                "DeviceIndex": 0,
                "SubnetId": spec.subnet.id,
                "Groups": [spec.security_group_id],
                "AssociatePublicIpAddress": True,
                "DeleteOnTermination": True,
            }
        ],
        "TagSpecifications": tag_specifications(spec.tags, "instance", "volume"),
    }


def _root_disk(image: Image) -> dict[str, Any]:
    disk: dict[str, Any] = {"VolumeType": "gp3", "Encrypted": True, "DeleteOnTermination": True}
    return disk if image.root_size is None else {**disk, "VolumeSize": image.root_size}


def filters(values: Mapping[str, str | Sequence[str]]) -> list[dict[str, Any]]:
    """A Describe call's filters."""
    return [{"Name": k, "Values": [v] if isinstance(v, str) else list(v)} for k, v in values.items()]
