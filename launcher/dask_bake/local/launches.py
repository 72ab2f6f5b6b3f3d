"""RunInstances as EC2 does it: checked, counted, on the one subnet, and once for each client token."""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Callable

from werkzeug.wrappers import Response

from dask_bake.local.ec2_calls import Call, Refusal
from dask_bake.local.hypervisor import Hypervisor
from dask_bake.local.moto_ec2 import MotoEc2

USER_DATA_LIMIT = 16384


class Launches:
    """What was launched, by client token."""

    def __init__(self, ec2: MotoEc2, hypervisor: Hypervisor) -> None:
        self._ec2 = ec2
        self._hypervisor = hypervisor
        self._answers: dict[tuple[str, str], tuple[str, Response]] = {}

    def run(self, call: Call, ask_moto: Callable[[], Response]) -> Response:
        """The answer to RunInstances; the same token and request have the same answer, and launch nothing."""
        key = (call.region, call.parameters.get("ClientToken", ""))
        fingerprint = hashlib.sha256(json.dumps(sorted(call.parameters.items())).encode()).hexdigest()
        if key in self._answers:
            earlier, answer = self._answers[key]
            if earlier != fingerprint:
                raise Refusal("IdempotentParameterMismatch", "The token was used with other parameters.")
            return answer
        self._prepare(call)
        answer = ask_moto()
        if answer.status_code == 200:
            ids = re.findall(r"<instanceId>(i-[0-9a-f]+)</instanceId>", answer.get_data(as_text=True))
            self._hypervisor.run(tuple(dict.fromkeys(ids)))
            if key[1]:
                self._answers[key] = (fingerprint, answer)
        return answer

    def _prepare(self, call: Call) -> None:
        parameters = call.parameters
        _check_user_data(parameters.get("UserData", ""))
        parameters["MinCount"] = str(self._count(call))
        if "NetworkInterface.1.DeviceIndex" in parameters:
            parameters.setdefault("NetworkInterface.1.SubnetId", self._ec2.default_subnet(call.region))
            parameters["NetworkInterface.1.AssociatePublicIpAddress"] = "false"
        else:
            parameters.setdefault("SubnetId", self._ec2.default_subnet(call.region))

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
