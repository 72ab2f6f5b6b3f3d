"""Resources that launches can leave in EC2: found by tag in each region, and deleted."""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from dask_bake.ec2 import requests, responses
from dask_bake.ec2.api import Ec2
from dask_bake.ec2.client import Clients
from dask_bake.ec2.errors import code_of, translated
from dask_bake.ec2.prices import PriceList
from dask_bake.errors import BakeError
from dask_bake.events import Notify
from dask_bake.models.cloud import Cloud
from dask_bake.models.resources import Resource, ResourceKind, creation_time
from dask_bake.models.tags import Tag
from dask_bake.system.concurrency import gather

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client

MANAGED_FILTER: Any = requests.filters({f"tag:{Tag.MANAGED}": "true"})


class Ec2Resources(Ec2):
    """Client that finds and deletes leftover resources in one region."""

    def resources(self) -> tuple[Resource, ...]:
        """Return every tagged resource that can cost money or occupy a name, in any state."""
        found = gather(self._instances, self._volumes, self._interfaces, self._security_groups, self._keys)
        return tuple(resource for resources in found for resource in resources)

    def regions(self) -> tuple[str, ...]:
        """Return the regions that are enabled for the account."""
        with translated("DescribeRegions"):
            answer = self._client.describe_regions()
        return tuple(sorted(each["RegionName"] for each in answer.get("Regions", [])))

    def delete_volume(self, volume_id: str) -> None:
        """Delete the volume; ignore one that does not exist."""
        self._delete("DeleteVolume", lambda: self._client.delete_volume(VolumeId=volume_id))

    def delete_network_interface(self, interface_id: str) -> None:
        """Delete the network interface; ignore one that does not exist."""
        self._delete(
            "DeleteNetworkInterface",
            lambda: self._client.delete_network_interface(NetworkInterfaceId=interface_id),
        )

    def _delete(self, operation: str, call: Callable[[], object]) -> None:
        try:
            with translated(operation):
                call()
        except BakeError as error:
            if not code_of(error.__cause__).endswith(".NotFound"):
                raise

    def _instances(self) -> list[Resource]:
        reservations = self._all("describe_instances", "Reservations", "DescribeInstances")
        return [_instance(each) for reservation in reservations for each in reservation["Instances"]]

    def _volumes(self) -> list[Resource]:
        return [_volume(each) for each in self._all("describe_volumes", "Volumes", "DescribeVolumes")]

    def _interfaces(self) -> list[Resource]:
        found = self._all("describe_network_interfaces", "NetworkInterfaces", "DescribeNetworkInterfaces")
        return [_interface(each) for each in found]

    def _security_groups(self) -> list[Resource]:
        found = self._all("describe_security_groups", "SecurityGroups", "DescribeSecurityGroups")
        return [_group(each) for each in found]

    def _keys(self) -> list[Resource]:
        with translated("DescribeKeyPairs"):
            answer = self._client.describe_key_pairs(Filters=MANAGED_FILTER)
        return [_key_pair(each) for each in answer.get("KeyPairs", [])]

    def _all(self, method: str, key: str, operation: str) -> Iterator[Any]:
        with translated(operation):
            for page in self._client.get_paginator(method).paginate(Filters=MANAGED_FILTER):  # type: ignore[call-overload]
                yield from page.get(key, [])


def connect_resources(cloud: Cloud, notify: Notify) -> Callable[[str], Ec2Resources]:
    """Return a function that makes a region's client, all with one login; not thread-safe."""
    clients = Clients(cloud, notify)

    def edge(region: str) -> Ec2Resources:
        asking: EC2Client = clients.ec2(region)
        made = Ec2Resources(asking, sleep=time.sleep)
        made.prices = PriceList(clients.other, region)
        return made

    return edge


def _instance(answer: Mapping[str, Any]) -> Resource:
    return Resource(
        ResourceKind.INSTANCE,
        answer["InstanceId"],
        responses.tags(answer.get("Tags")),
        state=answer["State"]["Name"],
        created=answer.get("LaunchTime"),
        ended=responses.end_time(answer),
        type=answer.get("InstanceType", ""),
        is_spot=answer.get("InstanceLifecycle") == "spot",
    )


def _volume(answer: Mapping[str, Any]) -> Resource:
    return Resource(
        ResourceKind.VOLUME,
        answer["VolumeId"],
        responses.tags(answer.get("Tags")),
        state=answer.get("State", ""),
        created=answer.get("CreateTime"),
        type=answer.get("VolumeType", ""),
        size=answer.get("Size", 0),
    )


def _interface(answer: Mapping[str, Any]) -> Resource:
    tags = responses.tags(answer.get("TagSet"))
    interface_id = answer["NetworkInterfaceId"]
    return Resource(
        ResourceKind.INTERFACE,
        interface_id,
        tags,
        state=answer.get("Status", ""),
        created=creation_time(tags),
    )


def _group(answer: Mapping[str, Any]) -> Resource:
    # A security group has no creation time.
    tags = responses.tags(answer.get("Tags"))
    return Resource(
        ResourceKind.GROUP, answer["GroupId"], tags, name=answer["GroupName"], created=creation_time(tags)
    )


def _key_pair(answer: Mapping[str, Any]) -> Resource:
    return Resource(
        ResourceKind.KEY_PAIR,
        answer.get("KeyPairId", ""),
        responses.tags(answer.get("Tags")),
        name=answer["KeyName"],
        created=answer.get("CreateTime"),
    )
