"""EC2's operations on images, as EC2 answers them."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from werkzeug.wrappers import Response

from dask_bake.errors import BakeError
from dask_bake.local.ec2.client_tokens import ClientTokens
from dask_bake.local.ec2.image_copies import plan_copy
from dask_bake.local.machines.hypervisor import Hypervisor
from dask_bake.local.moto.ec2 import MotoEc2
from dask_bake.local.query_protocol import Call, Refusal

ACTIONS = frozenset(
    {
        "CopyImage",
        "CreateImage",
        "DeregisterImage",
        "DescribeImageAttribute",
        "DisableImageDeprecation",
        "EnableImageDeprecation",
        "ModifyImageAttribute",
    }
)
TOKENS_ONLY = "v2.0"
NAME = re.compile(r"[\w ()\[\]./'@-]{3,128}", re.ASCII)
"""What an image may be called (API reference, CreateImage.Name)."""
LATEST_DEPRECATION = timedelta(days=3653)
"""Ten years from now (API reference, EnableImageDeprecation)."""


class ImageApi:
    """Makes, copies, changes and removes the images of the account."""

    def __init__(self, ec2: MotoEc2, hypervisor: Hypervisor) -> None:
        self._ec2 = ec2
        self._hypervisor = hypervisor
        self._tokens = ClientTokens()

    def answer(self, call: Call, ask_moto: Callable[[], Response]) -> Response:
        """The answer to one of ``ACTIONS``."""
        match call.action:
            case "CreateImage":
                return self._create(call, ask_moto)
            case "CopyImage":
                return self._tokens.once(call, lambda: self._copy(call))
            case "DeregisterImage":
                return self._deregister(call, ask_moto)
            case "ModifyImageAttribute":
                return self._modify(call, ask_moto)
            case "EnableImageDeprecation" | "DisableImageDeprecation":
                return self._deprecate(call)
        self._ec2.images.known(call.region, call.parameters.get("ImageId", ""))
        return ask_moto()

    def _create(self, call: Call, ask_moto: Callable[[], Response]) -> Response:
        self._check_name(call)
        instance_id = call.parameters.get("InstanceId", "")
        if self._ec2.instances.state(instance_id) not in ("stopped", None):
            raise Refusal(
                "IncorrectState", f"The local cloud makes images of stopped instances only: {instance_id}"
            )
        snapshot_tags = call.take_tags("snapshot")  # moto knows none in this call
        answer = ask_moto()
        found = re.search(r"<imageId>(ami-[0-9a-f]+)</imageId>", answer.get_data(as_text=True))
        if answer.status_code == 200 and found:
            self._keep(call, found[1], snapshot_tags)
        return answer

    def _keep(self, call: Call, image_id: str, snapshot_tags: dict[str, str]) -> None:
        try:
            layers = self._hypervisor.slots.snapshot(call.parameters["InstanceId"], image_id)
            self._ec2.images.add_made(call.region, image_id, layers, snapshot_tags)
        except (BakeError, OSError) as error:
            self._ec2.images.drop(call.region, image_id)
            raise Refusal("IncorrectState", f"The image could not be kept: {error}") from error

    def _check_name(self, call: Call) -> None:
        name = call.parameters.get("Name", "")
        if not NAME.fullmatch(name):
            raise Refusal(
                "InvalidAMIName.Malformed",
                "AMI names must be between 3 and 128 characters long, and may contain letters, numbers, "
                "spaces and ()[]./-'@_",
            )
        if self._ec2.images.name_is_taken(call.region, name):
            raise Refusal("InvalidAMIName.Duplicate", f"AMI name {name} is already in use")

    def _copy(self, call: Call) -> Response:
        for name in ("Name", "SourceImageId", "SourceRegion"):
            if not call.parameters.get(name):
                raise Refusal("MissingParameter", f"The request must contain the parameter {name}")
        source = self._ec2.images.stored(call.parameters["SourceRegion"], call.parameters["SourceImageId"])
        self._check_name(call)
        image, snapshot = plan_copy(call, *source)
        call.refuse_dry_run()
        self._ec2.images.add(image, snapshot)
        return call.answer(f"<imageId>{image.id}</imageId>")

    def _own(self, call: Call) -> Any:
        """The image that the call is about; nobody but its owner may change it."""
        image = self._ec2.images.known(call.region, call.parameters.get("ImageId", ""))
        if not self._ec2.images.is_own(image):
            raise Refusal("AuthFailure", f"Not authorized for image:{image.id}", 403)
        return image

    def _deregister(self, call: Call, ask_moto: Callable[[], Response]) -> Response:
        image = self._own(call)
        answer = ask_moto()
        if answer.status_code != 200:
            return answer
        self._ec2.images.forget(image.id, keep=self._hypervisor.slots.layers_in_use())
        if call.parameters.get("DeleteAssociatedSnapshots") != "true":
            return answer
        snapshot_id = image.ebs_snapshot.id
        self._ec2.images.forget_snapshot(call.region, snapshot_id)
        return call.answer(
            "<return>true</return><deleteSnapshotResultSet><item>"
            f"<snapshotId>{snapshot_id}</snapshotId><returnCode>success</returnCode>"
            "</item></deleteSnapshotResultSet>"
        )

    def _modify(self, call: Call, ask_moto: Callable[[], Response]) -> Response:
        image, parameters = self._own(call), call.parameters
        attribute = parameters.get("Attribute", "launchPermission")
        tokens = _value(parameters, "ImdsSupport", attribute)
        description = _value(parameters, "Description", attribute)
        if tokens is None and description is None:
            _refuse_to_share(image, parameters)
            answer = ask_moto()
        else:
            if tokens not in (None, TOKENS_ONLY):
                raise Refusal("InvalidParameterValue", f"Invalid value '{tokens}' for imdsSupport.")
            call.refuse_dry_run()
            image.imds_support = tokens or image.imds_support
            image.description = image.description if description is None else description
            answer = call.answer()
        self._ec2.images.keep(call.region, image.id)
        return answer

    def _deprecate(self, call: Call) -> Response:
        image = self._own(call)
        enable = call.action == "EnableImageDeprecation"
        moment = deprecation_time(call.parameters.get("DeprecateAt", "")) if enable else None
        call.refuse_dry_run()
        image.deprecation_time = moment
        self._ec2.images.keep(call.region, image.id)
        return call.answer()


def deprecation_time(text: str, now: datetime | None = None) -> str:
    """Return the time, rounded to the nearest minute, in the form of DescribeImages.

    Raises:
        Refusal: when it is no time, has passed, or is more than ten years away.
    """
    now = now or datetime.now(UTC)
    try:
        asked = datetime.fromisoformat(text)
    except ValueError:
        raise Refusal(
            "InvalidParameterValue", f"Value ({text}) for parameter DeprecateAt is invalid."
        ) from None
    asked = asked if asked.tzinfo else asked.replace(tzinfo=UTC)
    if asked <= now:
        raise Refusal("InvalidParameterValue", f"DeprecateAt ({text}) is in the past.")
    if asked > now + LATEST_DEPRECATION:
        raise Refusal("InvalidParameterValue", f"DeprecateAt ({text}) is more than 10 years from now.")
    nearest = (asked.astimezone(UTC) + timedelta(seconds=30)).replace(second=0, microsecond=0)
    return nearest.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _value(parameters: dict[str, str], name: str, attribute: str) -> str | None:
    """An attribute's new value, which EC2 takes under its name or as ``Attribute`` and ``Value``."""
    if attribute.lower() == name.lower():
        return parameters.get("Value", "")
    return parameters.get(f"{name}.Value")


def _refuse_to_share(image: Any, parameters: dict[str, str]) -> None:
    adds = parameters.get("OperationType") == "add" or any(".Add." in name for name in parameters)
    if adds and image.ebs_snapshot.has_own_key:
        raise Refusal(
            "InvalidParameter",
            "Snapshots encrypted with the AWS Managed CMK can't be shared. Specify another snapshot.",
        )
