"""RunInstances as EC2 does it: checked, counted, on the one subnet, and once for each client token."""

import base64
import binascii
import re
from collections.abc import Callable
from typing import Any

from werkzeug.wrappers import Response

from dask_bake.local.client_tokens import ClientTokens
from dask_bake.local.ec2_calls import Call, Refusal
from dask_bake.local.hypervisor import Hypervisor
from dask_bake.local.image_defaults import apply_image_defaults
from dask_bake.local.moto_ec2 import MotoEc2

USER_DATA_LIMIT = 16384


class Launches:
    """Launches instances, and knows what it was asked before."""

    def __init__(self, ec2: MotoEc2, hypervisor: Hypervisor) -> None:
        self._ec2 = ec2
        self._hypervisor = hypervisor
        self._tokens = ClientTokens()

    def run(self, call: Call, ask_moto: Callable[[], Response]) -> Response:
        """The answer to RunInstances; the same token and request have the same answer, and launch nothing."""
        return self._tokens.once(call, lambda: self._launch(call, ask_moto))

    def _launch(self, call: Call, ask_moto: Callable[[], Response]) -> Response:
        self._prepare(call)
        answer = ask_moto()
        if answer.status_code == 200:
            ids = re.findall(r"<instanceId>(i-[0-9a-f]+)</instanceId>", answer.get_data(as_text=True))
            self._hypervisor.run(tuple(dict.fromkeys(ids)))
        return answer

    def _prepare(self, call: Call) -> None:
        parameters = call.parameters
        _check_user_data(parameters.get("UserData", ""))
        parameters["MinCount"] = str(self._count(call))
        self._apply_image(call)
        if "NetworkInterface.1.DeviceIndex" in parameters:
            parameters.setdefault("NetworkInterface.1.SubnetId", self._ec2.default_subnet(call.region))
            parameters["NetworkInterface.1.AssociatePublicIpAddress"] = "false"
        else:
            parameters.setdefault("SubnetId", self._ec2.default_subnet(call.region))

    def _apply_image(self, call: Call) -> None:
        image_id = call.parameters.get("ImageId")
        if not image_id and any(name.startswith("LaunchTemplate.") for name in call.parameters):
            return  # the template names one
        image = self._ec2.images.known(call.region, image_id or "")
        self._refuse_other_architecture(image, call.parameters.get("InstanceType", ""))
        apply_image_defaults(call.parameters, image)

    def _refuse_other_architecture(self, image: Any, instance_type: str) -> None:
        possible = self._ec2.architectures(instance_type)
        if possible and image.architecture not in possible:
            raise Refusal(
                "InvalidParameterValue",
                f"The architecture '{','.join(possible)}' of the specified instance type does not match the "
                f"architecture '{image.architecture}' of the specified AMI. "
                "Specify an instance type and an AMI that have matching architectures, and try again. "
                "You can use 'describe-instance-types' or 'describe-images' to discover the architecture of "
                "the instance type or AMI.",
            )

    def _count(self, call: Call) -> int:
        """How many to launch: MaxCount, or as many as find an address, but not fewer than MinCount."""
        least, most = (int(call.parameters.get(name, "1")) for name in ("MinCount", "MaxCount"))
        if not 1 <= least <= most:
            raise Refusal("InvalidParameterValue", f"MinCount {least} and MaxCount {most} do not fit.")
        free = self._ec2.free_address_count()
        if free < least:
            subnet = self._ec2.default_subnet(call.region)
            raise Refusal(
                "InsufficientFreeAddressesInSubnet",
                f"There are not enough free addresses in subnet '{subnet}' for {least} instances.",
            )
        return min(most, free)


def _check_user_data(text: str) -> None:
    try:
        user_data = base64.b64decode(text)
    except binascii.Error:
        raise Refusal("InvalidUserData.Malformed", "Invalid BASE64 encoding of user data.") from None
    if len(user_data) > USER_DATA_LIMIT:
        raise Refusal("InvalidParameterValue", "User data is limited to 16384 bytes")
