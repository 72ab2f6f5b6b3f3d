"""EC2 Instance Connect endpoints: kept and told; nothing goes through them."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from werkzeug.wrappers import Response

from dask_bake.local.moto.ec2 import MotoEc2
from dask_bake.local.query_protocol import Call, Refusal, filters_of, items


@dataclass(frozen=True)
class ConnectEndpoint:
    """An endpoint in a subnet."""

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
        self._endpoints: dict[str, ConnectEndpoint] = {}

    @property
    def actions(self) -> dict[str, Callable[[Call], Response]]:
        """What is answered here."""
        return {
            "CreateInstanceConnectEndpoint": self._create,
            "DescribeInstanceConnectEndpoints": self._describe,
            "DeleteInstanceConnectEndpoint": self._delete,
        }

    def _create(self, call: Call) -> Response:
        subnet = self._ec2.subnet(call.region, call.parameters.get("SubnetId", ""))
        groups = [self._ec2.group(call.region, group_id) for group_id in call.ids("SecurityGroupId")]
        call.refuse_dry_run()
        endpoint = ConnectEndpoint(
            id=f"eice-{secrets.token_hex(8)}0",
            region=call.region,
            subnet=subnet.id,
            vpc=subnet.vpc_id,
            zone=subnet.availability_zone,
            groups=tuple(group.id for group in groups) or (self._ec2.default_group(call.region).id,),
            preserves_address=call.parameters.get("PreserveClientIp") == "true",
        )
        self._endpoints[endpoint.id] = endpoint
        tags = call.take_tags("instance-connect-endpoint")
        self._ec2.region(call.region).create_tags([endpoint.id], tags)
        told = self._told(endpoint)
        return call.answer(f"<instanceConnectEndpoint>{told}</instanceConnectEndpoint>")

    def _describe(self, call: Call) -> Response:
        ids = call.ids("InstanceConnectEndpointId")
        here = [endpoint for endpoint in self._endpoints.values() if endpoint.region == call.region]
        found = [self._known(call, endpoint_id) for endpoint_id in ids] or here
        told = "".join(f"<item>{self._told(one)}</item>" for one in found if self._matches(call, one))
        return call.answer(f"<instanceConnectEndpointSet>{told}</instanceConnectEndpointSet>")

    def _delete(self, call: Call) -> Response:
        endpoint = self._known(call, call.parameters.get("InstanceConnectEndpointId", ""))
        call.refuse_dry_run()
        del self._endpoints[endpoint.id]
        told = self._told(endpoint, state="delete-in-progress")
        self._ec2.region(call.region).tags.pop(endpoint.id, None)
        return call.answer(f"<instanceConnectEndpoint>{told}</instanceConnectEndpoint>")

    def _known(self, call: Call, endpoint_id: str) -> ConnectEndpoint:
        endpoint = self._endpoints.get(endpoint_id)
        if endpoint is None or endpoint.region != call.region:
            raise Refusal(
                "InvalidInstanceConnectEndpointId.NotFound",
                f"The instance connect endpoint ID '{endpoint_id}' does not exist",
            )
        return endpoint

    def _matches(self, call: Call, endpoint: ConnectEndpoint) -> bool:
        facts = {
            "instance-connect-endpoint-id": endpoint.id,
            "state": "create-complete",
            "subnet-id": endpoint.subnet,
            "vpc-id": endpoint.vpc,
            "availability-zone": endpoint.zone,
        }
        return filters_of(call).match(facts, self._tags(endpoint))

    def _tags(self, endpoint: ConnectEndpoint) -> dict[str, str]:
        return dict(self._ec2.region(endpoint.region).tags.get(endpoint.id, {}))

    def _told(self, endpoint: ConnectEndpoint, *, state: str = "create-complete") -> str:
        account, place = self._ec2.account, f"instance-connect-endpoint/{endpoint.id}"
        return items(
            {
                "ownerId": account,
                "instanceConnectEndpointId": endpoint.id,
                "instanceConnectEndpointArn": f"arn:aws:ec2:{endpoint.region}:{account}:{place}",
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
