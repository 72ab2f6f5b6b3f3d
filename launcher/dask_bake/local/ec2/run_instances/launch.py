"""RunInstances as EC2 does it: checked, counted, in one zone, and once for each client token."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from werkzeug.wrappers import Response

from dask_bake.local.ec2.client_tokens import ClientTokens
from dask_bake.local.ec2.instance_xml import reservation
from dask_bake.local.ec2.placement_groups import PlacementGroups
from dask_bake.local.ec2.run_instances.capacity import how_many
from dask_bake.local.ec2.run_instances.complete import complete, find_profile, take_additions
from dask_bake.local.ec2.run_instances.image_defaults import apply_image_defaults
from dask_bake.local.ec2.run_instances.instance_faults import Fates
from dask_bake.local.ec2.run_instances.lookup import (
    Place,
    check_instance_type,
    check_key_pair,
    find_place,
    instance_type_of,
)
from dask_bake.local.ec2.run_instances.quotas import Quotas
from dask_bake.local.ec2.run_instances.request import Count, check_request, leave_out_empty
from dask_bake.local.faults.rules import FaultRules
from dask_bake.local.machines.hypervisor import Hypervisor
from dask_bake.local.moto.ec2 import MotoEc2
from dask_bake.local.moto.instance_types import architectures
from dask_bake.local.query_protocol import Call, Refusal

Ask = Callable[[Call], Response]
"""Asks moto."""


@dataclass
class Launches:
    """Launches instances, and knows what it was asked before."""

    ec2: MotoEc2
    hypervisor: Hypervisor
    fates: Fates
    rules: FaultRules
    quotas: Quotas
    placement_groups: PlacementGroups
    _tokens: ClientTokens = field(default_factory=ClientTokens)

    def run(self, call: Call, ask: Ask) -> Response:
        """The answer to RunInstances; the same token and request have the same answer, and launch nothing.

        A token that comes with a zone counts in that zone alone.
        """
        leave_out_empty(call)
        count = check_request(call)
        check_instance_type(call, self.ec2)
        place = find_place(call, self.ec2)
        if call.is_dry_run:
            return self._launch(call, ask, place, count)
        zone = place.zone if place.chosen else ""
        return self._tokens.once(call, lambda: self._launch(call, ask, place, count), scope=zone)

    def _launch(self, call: Call, ask: Ask, place: Place, count: Count) -> Response:
        self._apply_image(call)
        check_key_pair(call, self.ec2)
        profile = find_profile(call)
        group = self.placement_groups.of_launch(call, instance_type_of(call))
        call.refuse_dry_run()
        number = how_many(call, place, count, ec2=self.ec2, rules=self.rules, quotas=self.quotas)
        additions = take_additions(call, place.groups, group, profile)
        _tell_moto(call, place, number)
        answer = ask(call)
        if answer.status_code != 200:
            return answer
        reservation_id = _reservation_id(answer.get_data(as_text=True))
        ids = complete(self.ec2, call.region, reservation_id, additions)
        found = self.ec2.region(call.region).reservations[reservation_id]
        told = call.answer(reservation(found, found.instances))
        self._boot(ids, call)
        return told

    def _boot(self, ids: tuple[str, ...], call: Call) -> None:
        self.fates.prepare(ids, call.faults)
        self.hypervisor.run(ids, held=self.fates.held(ids, call.faults))
        self.fates.begin(ids, call.faults)

    def _apply_image(self, call: Call) -> None:
        image = self.ec2.images.known(call.region, call.parameters.get("ImageId", ""))
        self._refuse_other_architecture(image, instance_type_of(call))
        apply_image_defaults(call.parameters, image)

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


def _tell_moto(call: Call, place: Place, number: int) -> None:
    """Put into the request, in moto's way, what has been found out."""
    call.parameters["MinCount"] = str(number)
    if "NetworkInterface.1.DeviceIndex" in call.parameters:
        call.parameters["NetworkInterface.1.SubnetId"] = place.subnet.id
        call.parameters["NetworkInterface.1.AssociatePublicIpAddress"] = "false"
    else:
        call.parameters["SubnetId"] = place.subnet.id


def _reservation_id(answer: str) -> str:
    found = re.search(r"<reservationId>(r-[0-9a-f]+)</reservationId>", answer)
    assert found is not None  # noqa: S101 - moto has just made it
    return found[1]
