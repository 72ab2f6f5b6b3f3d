"""The steps of RunInstances: validation, look-ups, count, and the launch in one zone."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from werkzeug.wrappers import Response

from dask_bake.local.ec2.client_tokens import ClientTokens
from dask_bake.local.ec2.instance_xml import reservation
from dask_bake.local.ec2.placement_groups import PlacementGroups
from dask_bake.local.ec2.run_instances.capacity import available_count
from dask_bake.local.ec2.run_instances.complete import complete, find_profile, take_additions
from dask_bake.local.ec2.run_instances.image_defaults import apply_image_defaults
from dask_bake.local.ec2.run_instances.instance_faults import InstanceFaults
from dask_bake.local.ec2.run_instances.lookup import (
    LaunchTarget,
    check_instance_type,
    check_key_pair,
    find_target,
    instance_type_of,
)
from dask_bake.local.ec2.run_instances.quotas import Quotas
from dask_bake.local.ec2.run_instances.request import Count, check_request, remove_empty
from dask_bake.local.faults.rules import FaultRules
from dask_bake.local.machines.hypervisor import Hypervisor
from dask_bake.local.moto.ec2 import MotoEc2
from dask_bake.local.moto.instance_types import architectures
from dask_bake.local.query_protocol import Refusal, Request

AskMoto: TypeAlias = Callable[[Request], Response]


@dataclass
class RunInstances:
    """The RunInstances operation, carried out once for each client token."""

    ec2: MotoEc2
    hypervisor: Hypervisor
    instance_faults: InstanceFaults
    rules: FaultRules
    quotas: Quotas
    placement_groups: PlacementGroups
    _tokens: ClientTokens = field(default_factory=ClientTokens)

    def run(self, request: Request, ask: AskMoto) -> Response:
        """Return the response to RunInstances; a repeated token with the same request repeats the response.

        The scope of a token is the zone that the request names, or else the region.
        """
        remove_empty(request)
        count = check_request(request)
        check_instance_type(request, self.ec2)
        target = find_target(request, self.ec2)
        if request.is_dry_run:
            return self._launch(request, ask, target, count)
        zone = target.zone if target.is_zone_requested else ""
        return self._tokens.once(request, lambda: self._launch(request, ask, target, count), scope=zone)

    def _launch(self, request: Request, ask: AskMoto, target: LaunchTarget, count: Count) -> Response:
        self._apply_image(request)
        check_key_pair(request, self.ec2)
        profile = find_profile(request)
        group = self.placement_groups.of_launch(request, instance_type_of(request))
        request.end_dry_run()
        number = available_count(request, target, count, ec2=self.ec2, rules=self.rules, quotas=self.quotas)
        additions = take_additions(request, target.groups, group, profile)
        _set_moto_parameters(request, target, number)
        answer = ask(request)
        if answer.status_code != 200:
            return answer
        reservation_id = _reservation_id(answer.get_data(as_text=True))
        ids = complete(self.ec2, request.region, reservation_id, additions)
        found = self.ec2.region(request.region).reservations[reservation_id]
        response = request.answer(reservation(found, found.instances))
        self._boot(ids, request)
        return response

    def _boot(self, ids: tuple[str, ...], request: Request) -> None:
        self.instance_faults.apply_before_boot(ids, request.faults)
        self.hypervisor.run(ids, held=self.instance_faults.kept_pending(ids, request.faults))
        self.instance_faults.apply_after_boot(ids, request.faults)

    def _apply_image(self, request: Request) -> None:
        image = self.ec2.images.known(request.region, request.parameters.get("ImageId", ""))
        self._refuse_other_architecture(image, instance_type_of(request))
        apply_image_defaults(request.parameters, image)

    def _refuse_other_architecture(self, image: Any, instance_type: str) -> None:
        possible = architectures(instance_type)
        if possible and image.architecture not in possible:
            raise Refusal(
                "InvalidParameterValue",
                f"The architecture '{','.join(possible)}' of the specified instance type does not match the "
                f"architecture '{image.architecture}' of the specified AMI. "
                "Specify an instance type and an AMI that have matching architectures, and try again. "
                "You can use 'describe-instance-types' or 'describe-images' to discover the architecture of "
                "the instance type or AMI.",
            )


def _set_moto_parameters(request: Request, target: LaunchTarget, number: int) -> None:
    """Set the number of instances and the subnet in the parameters that moto reads."""
    request.parameters["MinCount"] = str(number)
    if "NetworkInterface.1.DeviceIndex" in request.parameters:
        request.parameters["NetworkInterface.1.SubnetId"] = target.subnet.id
        request.parameters["NetworkInterface.1.AssociatePublicIpAddress"] = "false"
    else:
        request.parameters["SubnetId"] = target.subnet.id


def _reservation_id(answer: str) -> str:
    found = re.search(r"<reservationId>(r-[0-9a-f]+)</reservationId>", answer)
    assert found is not None  # noqa: S101 - moto has just made it
    return found[1]
