"""EC2 Instance Connect endpoints: created, described and deleted; they carry no connections."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from werkzeug.wrappers import Response

from dask_bake.local.moto.ec2 import MotoEc2
from dask_bake.local.query_protocol import Refusal, Request, filters_of, items


@dataclass(frozen=True)
class LocalConnectEndpoint:
    """An Instance Connect endpoint in a subnet."""

    id: str
    region: str
    subnet: str
    vpc: str
    zone: str
    groups: tuple[str, ...]
    preserves_address: bool


class ConnectEndpoints:
    """The Instance Connect endpoints of all regions."""

    def __init__(self, ec2: MotoEc2) -> None:
        self._ec2 = ec2
        self._endpoints: dict[str, LocalConnectEndpoint] = {}

    @property
    def actions(self) -> dict[str, Callable[[Request], Response]]:
        """Return the operations by the names of their actions."""
        return {
            "CreateInstanceConnectEndpoint": self._create,
            "DescribeInstanceConnectEndpoints": self._describe,
            "DeleteInstanceConnectEndpoint": self._delete,
        }

    def _create(self, request: Request) -> Response:
        subnet = self._ec2.subnet(request.region, request.parameters.get("SubnetId", ""))
        groups = [self._ec2.group(request.region, group_id) for group_id in request.ids("SecurityGroupId")]
        request.end_dry_run()
        endpoint = LocalConnectEndpoint(
            id=f"eice-{secrets.token_hex(8)}0",
            region=request.region,
            subnet=subnet.id,
            vpc=subnet.vpc_id,
            zone=subnet.availability_zone,
            groups=tuple(group.id for group in groups) or (self._ec2.default_group(request.region).id,),
            preserves_address=request.parameters.get("PreserveClientIp") == "true",
        )
        self._endpoints[endpoint.id] = endpoint
        tags = request.take_tags("instance-connect-endpoint")
        self._ec2.region(request.region).create_tags([endpoint.id], tags)
        item = self._item(endpoint)
        return request.answer(f"<instanceConnectEndpoint>{item}</instanceConnectEndpoint>")

    def _describe(self, request: Request) -> Response:
        ids = request.ids("InstanceConnectEndpointId")
        here = [endpoint for endpoint in self._endpoints.values() if endpoint.region == request.region]
        found = [self._known(request, endpoint_id) for endpoint_id in ids] or here
        listed = "".join(f"<item>{self._item(one)}</item>" for one in found if self._matches(request, one))
        return request.answer(f"<instanceConnectEndpointSet>{listed}</instanceConnectEndpointSet>")

    def _delete(self, request: Request) -> Response:
        endpoint = self._known(request, request.parameters.get("InstanceConnectEndpointId", ""))
        request.end_dry_run()
        del self._endpoints[endpoint.id]
        item = self._item(endpoint, state="delete-in-progress")
        self._ec2.region(request.region).tags.pop(endpoint.id, None)
        return request.answer(f"<instanceConnectEndpoint>{item}</instanceConnectEndpoint>")

    def _known(self, request: Request, endpoint_id: str) -> LocalConnectEndpoint:
        endpoint = self._endpoints.get(endpoint_id)
        if endpoint is None or endpoint.region != request.region:
            raise Refusal(
                "InvalidInstanceConnectEndpointId.NotFound",
                f"The instance connect endpoint ID '{endpoint_id}' does not exist",
            )
        return endpoint

    def _matches(self, request: Request, endpoint: LocalConnectEndpoint) -> bool:
        properties = {
            "instance-connect-endpoint-id": endpoint.id,
            "state": "create-complete",
            "subnet-id": endpoint.subnet,
            "vpc-id": endpoint.vpc,
            "availability-zone": endpoint.zone,
        }
        return filters_of(request).match(properties, self._tags(endpoint))

    def _tags(self, endpoint: LocalConnectEndpoint) -> dict[str, str]:
        return dict(self._ec2.region(endpoint.region).tags.get(endpoint.id, {}))

    def _item(self, endpoint: LocalConnectEndpoint, *, state: str = "create-complete") -> str:
        account, name = self._ec2.account, f"instance-connect-endpoint/{endpoint.id}"
        return items(
            {
                "ownerId": account,
                "instanceConnectEndpointId": endpoint.id,
                "instanceConnectEndpointArn": f"arn:aws:ec2:{endpoint.region}:{account}:{name}",
                "state": state,
                "dnsName": f"{endpoint.id}.ec2-instance-connect-endpoint.{endpoint.region}.amazonaws.com",
                "vpcId": endpoint.vpc,
                "subnetId": endpoint.subnet,
                "availabilityZone": endpoint.zone,
                "preserveClientIp": "true" if endpoint.preserves_address else "false",
                "securityGroupIdSet": list(endpoint.groups),
                "tagSet": [{"key": key, "value": value} for key, value in self._tags(endpoint).items()],
            }
        )
