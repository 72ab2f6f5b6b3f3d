"""Instances and reservations in EC2's XML; moto's own are slower and less complete."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from dask_bake.local.query_protocol import Content, items


def reservation(found: Any, instances: Iterable[Any]) -> str:
    """Return a reservation in XML, for RunInstances and DescribeInstances."""
    listed = "".join(f"<item>{instance(one)}</item>" for one in instances)
    frame = items({"reservationId": found.id, "ownerId": found.owner_id, "groupSet": ""})
    return f"{frame}<instancesSet>{listed}</instancesSet>"


def instance(one: Any) -> str:
    """Return an instance in XML; properties that it does not have are left out."""
    tags = one.ec2_backend.tags.get(one.id, {})
    return items(
        {
            "instanceId": one.id,
            "imageId": one.image_id,
            "instanceState": _state(one),
            "privateDnsName": one.private_dns_name,
            "privateIpAddress": one.private_ip_address,
            **_if_any("keyName", one.key_name),
            "amiLaunchIndex": str(one.ami_launch_index),
            "instanceType": one.instance_type,
            **_if_any("instanceLifecycle", one.lifecycle),
            **_if_any("spotInstanceRequestId", one.spot_instance_request_id),
            "launchTime": _time(one.launch_time),
            "placement": _placement(one),
            "monitoring": {"state": one.monitoring_state},
            "subnetId": one.subnet_id,
            "vpcId": one.nics[0].vpc_id,
            "architecture": str(one.architecture),
            "rootDeviceName": one.root_device_name,
            "rootDeviceType": "ebs",
            "virtualizationType": one.virtualization_type,
            "hypervisor": "xen",
            "ebsOptimized": _word(one.ebs_optimized),
            "sourceDestCheck": _word(one.source_dest_check),
            "clientToken": one.client_token,
            **_reason(one),
            **_profile(one),
            "groupSet": _groups(one.security_groups),
            "tagSet": [{"key": key, "value": value} for key, value in tags.items()],
            "blockDeviceMapping": [_disk(name, block) for name, block in one.get_block_device_mapping],
            "networkInterfaceSet": [_interface(nic) for nic in one.nics.values()],
            "metadataOptions": _metadata_options(one.metadata_options),
        }
    )


def _if_any(name: str, value: str | None) -> dict[str, Content]:
    return {name: value} if value else {}


def _word(value: Any) -> str:
    return str(value).lower()


def _time(value: datetime) -> str:
    return f"{value:%Y-%m-%dT%H:%M:%S.000Z}"


def _state(one: Any) -> Content:
    return {"code": str(one.state_code), "name": one.state}


def _reason(one: Any) -> dict[str, Content]:
    """Return the reason for the state, which is empty for a pending or running instance."""
    if not one.state_reason.code:
        return {"reason": ""}
    reason = {"code": one.state_reason.code, "message": one.state_reason.message}
    return {"reason": str(one.state_transition_reason), "stateReason": reason}


def _placement(one: Any) -> Content:
    group = {**_if_any("groupId", one.placement.group_id), "groupName": one.placement.group_name}
    return {"availabilityZone": one.availability_zone, **group, "tenancy": one.placement.tenancy}


def _profile(one: Any) -> dict[str, Content]:
    profile = one.iam_instance_profile
    return {"iamInstanceProfile": {"arn": profile["Arn"], "id": profile["Id"]}} if profile else {}


def _groups(groups: Iterable[Any]) -> Content:
    return [{"groupId": group.id, "groupName": group.name} for group in groups]


def _disk(name: str, block: Any) -> dict[str, Content]:
    disk: dict[str, Content] = {
        "volumeId": block.volume_id,
        "status": "attached",
        "attachTime": _time(block.attach_time),
        "deleteOnTermination": _word(block.delete_on_termination),
    }
    return {"deviceName": name, "ebs": disk}


def _interface(nic: Any) -> dict[str, Content]:
    return {
        "networkInterfaceId": nic.id,
        "subnetId": nic.subnet_id,
        "vpcId": nic.vpc_id,
        "description": nic.description,
        "ownerId": nic.owner_id,
        "status": "in-use",
        "macAddress": nic.mac_address,
        "privateIpAddress": nic.private_ip_address,
        "sourceDestCheck": _word(nic.source_dest_check),
        "groupSet": _groups(nic.group_set),
        "attachment": {
            "attachmentId": str(nic.attachment_id),
            "deviceIndex": str(nic.device_index),
            "status": "attached",
            "attachTime": _time(nic.attach_time),
            "deleteOnTermination": _word(nic.delete_on_termination),
            "networkCardIndex": "0",
        },
        "privateIpAddressesSet": [{"privateIpAddress": nic.private_ip_address, "primary": "true"}],
        "interfaceType": "interface",
    }


def _metadata_options(options: Any) -> Content:
    return {
        "state": options.state,
        "httpTokens": options.http_tokens,
        "httpPutResponseHopLimit": str(options.http_put_response_hop_limit),
        "httpEndpoint": options.http_endpoint,
        "httpProtocolIpv6": options.http_protocol_ipv6,
        "instanceMetadataTags": options.instance_metadata_tags,
    }
