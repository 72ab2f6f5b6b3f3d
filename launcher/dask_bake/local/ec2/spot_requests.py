"""The request behind each spot instance, told and cancelled as EC2 does, for moto has none.

States and codes are those of the user guide, "Get the status of a Spot Instance request".
"""

from collections.abc import Callable
from typing import Any

from werkzeug.wrappers import Response

from dask_bake.local.moto.ec2 import MotoEc2
from dask_bake.local.query_protocol import Call, Refusal, filters_of, items

MESSAGES = {
    "fulfilled": "Your Spot request is fulfilled.",
    "instance-terminated-by-service": "Your Spot Instance was terminated by the service.",
    "instance-terminated-by-user": "Your Spot Instance was terminated by a user.",
    "instance-terminated-no-capacity": "Your Spot Instance was terminated for lack of Spot capacity.",
    "request-canceled-and-instance-running": "Your Spot request is cancelled; its instance runs on.",
    "marked-for-termination": "Your Spot Instance is marked for termination.",
}
"""What EC2 says with a status code, in words of our own."""


class SpotRequests:
    """The spot requests of all regions: one-time, each fulfilled by one instance."""

    def __init__(self, ec2: MotoEc2) -> None:
        self._ec2 = ec2
        self._cancelled: set[str] = set()

    @property
    def actions(self) -> dict[str, Callable[[Call], Response]]:
        """What is answered here."""
        return {
            "DescribeSpotInstanceRequests": self._describe,
            "CancelSpotInstanceRequests": self._cancel,
        }

    def _describe(self, call: Call) -> Response:
        wanted = filters_of(call)
        return _answer(
            call,
            [
                self._told(instance)
                for instance in self._named(call)
                if wanted.match(self._facts(instance), _tags(instance))
            ],
        )

    def _cancel(self, call: Call) -> Response:
        """The requests end; their instances do not."""
        ids = [instance.spot_instance_request_id for instance in self._named(call)]
        self._cancelled.update(ids)
        return _answer(call, [{"spotInstanceRequestId": one, "state": "cancelled"} for one in ids])

    def _named(self, call: Call) -> list[Any]:
        """The instances of the requests that the call names, or of all."""
        ids = call.ids("SpotInstanceRequestId")
        known = {
            str(instance.spot_instance_request_id): instance
            for instance in self._ec2.instances.all()
            if instance.region_name == call.region and instance.spot_instance_request_id
        }
        for request_id in ids:
            if request_id not in known:
                raise Refusal(
                    "InvalidSpotInstanceRequestID.NotFound",
                    f"The spot instance request ID '{request_id}' does not exist",
                )
        call.refuse_dry_run()
        return [known[request_id] for request_id in ids or known]

    def _status(self, instance: Any) -> tuple[str, str]:
        """The request's state, and its status code."""
        is_cancelled = instance.spot_instance_request_id in self._cancelled
        if instance.state == "terminated":
            return "cancelled" if is_cancelled else "closed", _ending(instance.state_reason.code)
        if is_cancelled:
            return "cancelled", "request-canceled-and-instance-running"
        return "active", "marked-for-termination" if instance.interruption else "fulfilled"

    def _facts(self, instance: Any) -> dict[str, str]:
        state, code = self._status(instance)
        return {
            "spot-instance-request-id": instance.spot_instance_request_id,
            "instance-id": instance.id,
            "state": state,
            "status-code": code,
            "type": "one-time",
            "launch.image-id": instance.image_id,
            "launch.instance-type": instance.instance_type,
            "launched-availability-zone": str(instance.availability_zone),
        }

    def _told(self, instance: Any) -> dict[str, Any]:
        state, code = self._status(instance)
        return {
            "spotInstanceRequestId": instance.spot_instance_request_id,
            "type": "one-time",
            "state": state,
            "status": {"code": code, "message": MESSAGES[code]},
            "instanceId": instance.id,
            "launchSpecification": {"imageId": instance.image_id, "instanceType": instance.instance_type},
            "launchedAvailabilityZone": str(instance.availability_zone),
            "createTime": f"{instance.launch_time:%Y-%m-%dT%H:%M:%S.000Z}",
            "productDescription": "Linux/UNIX",
            "instanceInterruptionBehavior": "terminate",
            "tagSet": [{"key": key, "value": value} for key, value in _tags(instance).items()],
        }


def _ending(reason: str) -> str:
    if reason == "Server.SpotInstanceTermination":
        return "instance-terminated-no-capacity"
    return f"instance-terminated-by-{'user' if reason.startswith('Client.') else 'service'}"


def _tags(instance: Any) -> dict[str, str]:
    return dict(instance.ec2_backend.tags.get(instance.spot_instance_request_id, {}))


def _answer(call: Call, requests: list[dict[str, Any]]) -> Response:
    return call.answer(items({"spotInstanceRequestSet": requests}))
