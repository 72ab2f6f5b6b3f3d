"""The resources that RunInstances names: subnet, security groups, instance type and key pair."""

from dataclasses import dataclass
from typing import Any

from dask_bake.local.moto.ec2 import MotoEc2
from dask_bake.local.query_protocol import Refusal, Request


@dataclass(frozen=True)
class LaunchTarget:
    """The subnet of a launch and the security groups of its instances."""

    subnet: Any
    groups: tuple[Any, ...]
    is_zone_requested: bool
    """True if the request names the zone or the subnet."""

    @property
    def zone(self) -> str:
        """Return the subnet's zone."""
        return str(self.subnet.availability_zone)


def find_target(request: Request, ec2: MotoEc2) -> LaunchTarget:
    """Return the subnet and the groups that the request names, or the default ones.

    Raises:
        Refusal: when one does not exist, or they are not in one VPC.
    """
    subnet, is_requested = _find_subnet(request, ec2)
    return LaunchTarget(subnet, _find_groups(request, ec2, subnet), is_requested)


def requested_subnet(request: Request) -> str | None:
    """Return the id of the subnet that the request names, or None."""
    return request.parameters.get("SubnetId") or request.parameters.get("NetworkInterface.1.SubnetId")


def _find_subnet(request: Request, ec2: MotoEc2) -> tuple[Any, bool]:
    zone, instance_type = request.parameters.get("Placement.AvailabilityZone"), instance_type_of(request)
    offered = ec2.zones_offering(request.region, instance_type)
    subnet_id = requested_subnet(request)
    if subnet_id is not None:
        subnet = ec2.subnet(request.region, subnet_id)
        if zone not in (None, subnet.availability_zone):
            raise Refusal(
                "InvalidParameterValue",
                f"The subnet '{subnet_id}' is in {subnet.availability_zone}, not in {zone}.",
            )
    else:
        subnet = _default_subnet(request, ec2, zone or next(iter(offered), None))
    if subnet.availability_zone not in offered:
        raise Refusal(
            "Unsupported",
            f"Your requested instance type ({instance_type}) is not supported in your requested Availability "
            f"Zone ({subnet.availability_zone}). Please retry your request by not specifying an Availability "
            f"Zone or choosing {', '.join(offered)}.",
        )
    return subnet, bool(subnet_id or zone)


def _default_subnet(request: Request, ec2: MotoEc2, zone: str | None) -> Any:
    zones = ec2.default_subnets(request.region)
    if not zones:
        raise Refusal("MissingInput", "No subnets found for the default VPC. Please specify a subnet.")
    if zone is not None and zone not in zones:
        raise Refusal("InvalidParameterValue", f"Invalid availability zone: [{zone}]")
    return zones[zone] if zone else next(iter(zones.values()))


def _find_groups(request: Request, ec2: MotoEc2, subnet: Any) -> tuple[Any, ...]:
    ids = request.ids("SecurityGroupId") or request.ids(r"NetworkInterface\.1\.SecurityGroupId")
    groups = [
        *(ec2.group(request.region, group_id) for group_id in ids),
        *(ec2.group_by_name(request.region, name) for name in request.ids("SecurityGroup")),
    ]
    for group in groups:
        if group.vpc_id != subnet.vpc_id:
            raise Refusal(
                "InvalidParameter",
                f"Security group {group.id} and subnet {subnet.id} belong to different networks.",
            )
    return tuple(groups) or (ec2.default_group(request.region),)


def instance_type_of(request: Request) -> str:
    """Return the requested instance type."""
    return request.parameters.get("InstanceType", "m1.small")


def check_instance_type(request: Request, ec2: MotoEc2) -> None:
    """Refuse an instance type that EC2 does not have in the region."""
    name = instance_type_of(request)
    if not ec2.zones_offering(request.region, name):
        raise Refusal("InvalidParameterValue", f"Invalid value '{name}' for InstanceType.")


def check_key_pair(request: Request, ec2: MotoEc2) -> None:
    """Refuse a key pair that does not exist."""
    name = request.parameters.get("KeyName")
    if name and name not in ec2.region(request.region).key_pairs:
        raise Refusal("InvalidKeyPair.NotFound", f"The key pair '{name}' does not exist")
