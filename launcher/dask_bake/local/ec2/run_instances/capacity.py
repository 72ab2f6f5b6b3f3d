"""How many instances there are to be had: of addresses, of the quota, and of what fault rules leave."""

from collections.abc import Mapping

from dask_bake.local.ec2.run_instances.lookup import Place, instance_type_of
from dask_bake.local.ec2.run_instances.quotas import Quotas
from dask_bake.local.ec2.run_instances.request import Count, is_spot
from dask_bake.local.faults.model import NO_CAPACITY, Kind
from dask_bake.local.faults.rules import FaultRules
from dask_bake.local.moto.ec2 import MotoEc2
from dask_bake.local.query_protocol import Call, Refusal


def how_many(
    call: Call, place: Place, count: Count, *, ec2: MotoEc2, rules: FaultRules, quotas: Quotas
) -> int:
    """How many instances the launch gets: the most that there are, but not fewer than it needs.

    Raises:
        Refusal: when there are fewer.
    """
    spot, instance_type = is_spot(call), instance_type_of(call)
    within_quota = quotas.room(ec2, call.region, instance_type, spot=spot)
    if within_quota < count.least:
        raise quotas.refusal(spot=spot)
    there = min((fault.count for fault in call.faults if fault.kind is Kind.CAPACITY), default=count.most)
    if there < count.least:
        raise _no_capacity(call, place, ec2, rules)
    free = int(place.subnet.available_ip_address_count)
    if free < count.least:
        raise Refusal(
            "InsufficientFreeAddressesInSubnet",
            f"There are not enough free addresses in subnet '{place.subnet.id}' to satisfy the requested "
            "number of instances.",
        )
    return min(count.most, within_quota, there, free)


def _no_capacity(call: Call, place: Place, ec2: MotoEc2, rules: FaultRules) -> Refusal:
    if is_spot(call):
        message = "There is no Spot capacity available that matches your request."
        return Refusal(NO_CAPACITY, message, 500)
    name = instance_type_of(call)
    others = [
        zone
        for zone in ec2.zones_offering(call.region, name)
        if zone != place.zone
        and not rules.lacks_capacity(
            call.action, in_zone(call, zone, ec2.default_subnets(call.region)[zone].id)
        )
    ]
    message = (
        f"We currently do not have sufficient {name} capacity in the Availability Zone you requested "
        f"({place.zone}). Our system will be working on provisioning additional capacity."
    )
    if others:
        message += (
            f" You can currently get {name} capacity by not specifying an Availability Zone in your request "
            f"or choosing {', '.join(others)}."
        )
    return Refusal(NO_CAPACITY, message, 500)


def in_zone(call: Call, zone: str, subnet_id: str) -> Mapping[str, str]:
    """The parameters of a launch, for fault rules: with where it goes, however the request says that."""
    names = [name for name in ("SubnetId", "NetworkInterface.1.SubnetId") if name in call.parameters]
    return {
        **call.parameters,
        **dict.fromkeys((*names, "SubnetId"), subnet_id),
        "InstanceType": instance_type_of(call),
        "AvailabilityZone": zone,
        "MarketType": "spot" if is_spot(call) else "on-demand",
    }
