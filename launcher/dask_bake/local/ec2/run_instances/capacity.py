"""The number of instances that a launch gets: limited by addresses, quota and capacity faults."""

from collections.abc import Mapping

from dask_bake.local.ec2.run_instances.lookup import LaunchTarget, instance_type_of
from dask_bake.local.ec2.run_instances.quotas import Quotas
from dask_bake.local.ec2.run_instances.request import Count, is_spot
from dask_bake.local.faults.model import NO_CAPACITY, FaultKind
from dask_bake.local.faults.rules import FaultRules
from dask_bake.local.moto.ec2 import MotoEc2
from dask_bake.local.query_protocol import Refusal, Request


def available_count(
    request: Request, target: LaunchTarget, count: Count, *, ec2: MotoEc2, rules: FaultRules, quotas: Quotas
) -> int:
    """Return the number of instances that the launch gets, between its minimum and its maximum.

    Raises:
        Refusal: when fewer than its minimum are available.
    """
    spot, instance_type = is_spot(request), instance_type_of(request)
    within_quota = quotas.remaining(ec2, request.region, instance_type, spot=spot)
    if within_quota < count.least:
        raise quotas.refusal(spot=spot)
    capacity = min(
        (fault.count for fault in request.faults if fault.kind is FaultKind.CAPACITY), default=count.most
    )
    if capacity < count.least:
        raise _no_capacity(request, target, ec2, rules)
    free = int(target.subnet.available_ip_address_count)
    if free < count.least:
        raise Refusal(
            "InsufficientFreeAddressesInSubnet",
            f"There are not enough free addresses in subnet '{target.subnet.id}' to satisfy the requested "
            "number of instances.",
        )
    return min(count.most, within_quota, capacity, free)


def _no_capacity(request: Request, target: LaunchTarget, ec2: MotoEc2, rules: FaultRules) -> Refusal:
    if is_spot(request):
        message = "There is no Spot capacity available that matches your request."
        return Refusal(NO_CAPACITY, message, 500)
    name = instance_type_of(request)
    others = [
        zone
        for zone in ec2.zones_offering(request.region, name)
        if zone != target.zone
        and not rules.lacks_capacity(
            request.action, launch_parameters(request, zone, ec2.default_subnets(request.region)[zone].id)
        )
    ]
    message = (
        f"We currently do not have sufficient {name} capacity in the Availability Zone you requested "
        f"({target.zone}). Our system will be working on provisioning additional capacity."
    )
    if others:
        message += (
            f" You can currently get {name} capacity by not specifying an Availability Zone in your request "
            f"or choosing {', '.join(others)}."
        )
    return Refusal(NO_CAPACITY, message, 500)


def launch_parameters(request: Request, zone: str, subnet_id: str) -> Mapping[str, str]:
    """Return a launch's parameters for fault rules, with its type, zone, subnet and market added."""
    names = [name for name in ("SubnetId", "NetworkInterface.1.SubnetId") if name in request.parameters]
    return {
        **request.parameters,
        **dict.fromkeys((*names, "SubnetId"), subnet_id),
        "InstanceType": instance_type_of(request),
        "AvailabilityZone": zone,
        "MarketType": "spot" if is_spot(request) else "on-demand",
    }
