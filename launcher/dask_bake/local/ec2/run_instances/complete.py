"""New instances as moto makes them, and what it left out of them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dask_bake.local.ec2.placement_groups import PlacementGroup
from dask_bake.local.ec2.run_instances.request import is_spot
from dask_bake.local.moto.ec2 import MotoEc2
from dask_bake.local.moto.instances import LocalInstance
from dask_bake.local.moto.models import DEFAULT_ACCOUNT_ID, NoSuchEntity, iam_backends
from dask_bake.local.query_protocol import Call, Refusal

Tags = Mapping[str, str]
RATE = re.compile(r"BlockDeviceMapping\.(\d+)\.Ebs\.VolumeInitializationRate")


@dataclass(frozen=True)
class Additions:
    """What new instances have that moto does not give them."""

    groups: tuple[Any, ...]
    placement_group: PlacementGroup | None
    profile: Any
    client_token: str
    protected: bool
    spot: bool
    interface_tags: Tags
    spot_request_tags: Tags
    initialization_rates: Mapping[str, int]
    """By device."""


def take_additions(
    call: Call, groups: tuple[Any, ...], placement_group: PlacementGroup | None, profile: Any
) -> Additions:
    """What moto cannot do, taken out of the request where moto would do it wrongly."""
    parameters = call.parameters
    for name in [name for name in parameters if name.startswith(("IamInstanceProfile.", "Placement."))]:
        del parameters[name]
    return Additions(
        groups=groups,
        placement_group=placement_group,
        profile=profile,
        client_token=parameters.get("ClientToken", ""),
        protected=parameters.get("DisableApiTermination") == "true",
        spot=is_spot(call),
        interface_tags=call.take_tags("network-interface"),
        spot_request_tags=call.take_tags("spot-instances-request"),
        initialization_rates={
            parameters[f"BlockDeviceMapping.{match[1]}.DeviceName"]: int(value)
            for name, value in parameters.items()
            if (match := RATE.fullmatch(name))
        },
    )


def find_profile(call: Call) -> Any:
    """The instance profile that the request names, or None.

    Raises:
        Refusal: when it does not exist.
    """
    backend = iam_backends[DEFAULT_ACCOUNT_ID]["aws"]
    name, arn = (call.parameters.get(f"IamInstanceProfile.{key}") for key in ("Name", "Arn"))
    try:
        if name is not None:
            return backend.get_instance_profile(name)
        return None if arn is None else backend.get_instance_profile_by_arn(arn)
    except NoSuchEntity:
        kind, value = ("name", name) if arn is None else ("arn", arn)
        what = "name" if arn is None else "ARN"
        raise Refusal(
            "InvalidParameterValue",
            f"Value ({value}) for parameter iamInstanceProfile.{kind} is invalid. "
            f"Invalid IAM Instance Profile {what}",
        ) from None


def complete(ec2: MotoEc2, region: str, reservation_id: str, additions: Additions) -> tuple[str, ...]:
    """Give new instances what moto left out, and have them pending; their ids."""
    reservation = ec2.region(region).reservations[reservation_id]
    for instance in reservation.instances:
        _complete(instance, reservation_id, additions)
    ec2.instances.add(reservation.instances)
    for instance in reservation.instances:
        instance.set_state("pending")
    return tuple(instance.id for instance in reservation.instances)


def _complete(instance: Any, reservation_id: str, additions: Additions) -> None:
    instance.__class__ = LocalInstance
    instance.reservation_id = reservation_id
    instance.client_token = additions.client_token
    instance.disable_api_termination = additions.protected
    _set_groups(instance, additions.groups)
    if additions.profile is not None:
        instance.iam_instance_profile = {"Arn": additions.profile.arn, "Id": additions.profile.id}
    instance.placement.group_name = additions.placement_group.name if additions.placement_group else ""
    instance.placement.group_id = additions.placement_group.id if additions.placement_group else None
    instance.spot_instance_request_id = None
    if additions.spot:
        instance.spot_instance_request_id = f"sir-{instance.id[-8:]}"
        instance.ec2_backend.create_tags(
            [instance.spot_instance_request_id], dict(additions.spot_request_tags)
        )
    for interface in instance.nics.values():
        interface.add_tags(dict(additions.interface_tags))
    volumes = [block.volume_id for _, block in instance.get_block_device_mapping]
    instance.tagged = (instance.id, instance.spot_instance_request_id, *volumes)
    for device, block in instance.get_block_device_mapping:
        rate = additions.initialization_rates.get(device)
        if rate is not None:
            instance.ec2_backend.volumes[block.volume_id].volume_initialization_rate = rate


def _set_groups(instance: Any, groups: tuple[Any, ...]) -> None:
    """Put an instance and its interface into these groups, and no others."""
    instance.security_groups = list(groups)
    for interface in instance.nics.values():
        interface._group_set = list(groups)  # noqa: SLF001 - moto adds, and never takes away
