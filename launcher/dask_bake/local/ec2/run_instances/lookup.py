"""Where RunInstances launches, and with what of the account's: looked up, and refused as EC2 does."""

from dataclasses import dataclass
from typing import Any

from dask_bake.local.moto.ec2 import MotoEc2
from dask_bake.local.query_protocol import Call, Refusal


@dataclass(frozen=True)
class Place:
    """The subnet of a launch, and the groups of its instances; ``chosen`` if the request names the zone."""

    subnet: Any
    groups: tuple[Any, ...]
    chosen: bool

    @property
    def zone(self) -> str:
        """The subnet's zone."""
        return str(self.subnet.availability_zone)


def find_place(call: Call, ec2: MotoEc2) -> Place:
    """The subnet and the groups that the request asks for, or the default ones.

    Raises:
        Refusal: when one does not exist, or they do not go together.
    """
    subnet, chosen = _find_subnet(call, ec2)
    return Place(subnet, _find_groups(call, ec2, subnet), chosen)


def asked_subnet(call: Call) -> str | None:
    """The id of the subnet that the request names."""
    return call.parameters.get("SubnetId") or call.parameters.get("NetworkInterface.1.SubnetId")


def _find_subnet(call: Call, ec2: MotoEc2) -> tuple[Any, bool]:
    zone, instance_type = call.parameters.get("Placement.AvailabilityZone"), instance_type_of(call)
    offered = ec2.zones_offering(call.region, instance_type)
    subnet_id = asked_subnet(call)
    if subnet_id is not None:
        subnet = ec2.subnet(call.region, subnet_id)
        if zone not in (None, subnet.availability_zone):
            raise Refusal(
                "InvalidParameterValue",
                f"The subnet '{subnet_id}' is in {subnet.availability_zone}, not in {zone}.",
            )
    else:
        subnet = _default_subnet(call, ec2, zone or next(iter(offered), None))
    if subnet.availability_zone not in offered:
        raise Refusal(
            "Unsupported",
            f"Your requested instance type ({instance_type}) is not supported in your requested Availability "
            f"Zone ({subnet.availability_zone}). Please retry your request by not specifying an Availability "
            f"Zone or choosing {', '.join(offered)}.",
        )
    return subnet, bool(subnet_id or zone)


def _default_subnet(call: Call, ec2: MotoEc2, zone: str | None) -> Any:
    zones = ec2.default_subnets(call.region)
    if not zones:
        raise Refusal("MissingInput", "No subnets found for the default VPC. Please specify a subnet.")
    if zone is not None and zone not in zones:
        raise Refusal("InvalidParameterValue", f"Invalid availability zone: [{zone}]")
    return zones[zone] if zone else next(iter(zones.values()))


def _find_groups(call: Call, ec2: MotoEc2, subnet: Any) -> tuple[Any, ...]:
    ids = call.ids("SecurityGroupId") or call.ids(r"NetworkInterface\.1\.SecurityGroupId")
    groups = [
        *(ec2.group(call.region, group_id) for group_id in ids),
        *(ec2.group_by_name(call.region, name) for name in call.ids("SecurityGroup")),
    ]
    for group in groups:
        if group.vpc_id != subnet.vpc_id:
            raise Refusal(
                "InvalidParameter",
                f"Security group {group.id} and subnet {subnet.id} belong to different networks.",
            )
    return tuple(groups) or (ec2.default_group(call.region),)


def instance_type_of(call: Call) -> str:
    """The instance type that is asked for."""
    return call.parameters.get("InstanceType", "m1.small")


def check_instance_type(call: Call, ec2: MotoEc2) -> None:
    """Raises when EC2 has no such instance type, or not in this region."""
    name = instance_type_of(call)
    if not ec2.zones_offering(call.region, name):
        raise Refusal("InvalidParameterValue", f"Invalid value '{name}' for InstanceType.")


def check_key_pair(call: Call, ec2: MotoEc2) -> None:
    """Raises when the key pair does not exist."""
    name = call.parameters.get("KeyName")
    if name and name not in ec2.region(call.region).key_pairs:
        raise Refusal("InvalidKeyPair.NotFound", f"The key pair '{name}' does not exist")
