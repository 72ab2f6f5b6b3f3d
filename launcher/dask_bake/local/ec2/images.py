"""EC2's operations on images: create, copy, share, deprecate, deregister."""

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
from dask_bake.local.query_protocol import Refusal, Request

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
AMI_NAME = re.compile(r"[\w ()\[\]./'@-]{3,128}", re.ASCII)
"""Valid names of images (API reference, CreateImage.Name)."""
LATEST_DEPRECATION = timedelta(days=3653)
"""Ten years from now (API reference, EnableImageDeprecation)."""


class ImageApi:
    """The operations on the account's images."""

    def __init__(self, ec2: MotoEc2, hypervisor: Hypervisor) -> None:
        self._ec2 = ec2
        self._hypervisor = hypervisor
        self._tokens = ClientTokens()

    def answer(self, request: Request, ask_moto: Callable[[], Response]) -> Response:
        """Return the response to one of ``ACTIONS``."""
        match request.action:
            case "CreateImage":
                return self._create(request, ask_moto)
            case "CopyImage":
                return self._tokens.once(request, lambda: self._copy(request))
            case "DeregisterImage":
                return self._deregister(request, ask_moto)
            case "ModifyImageAttribute":
                return self._modify(request, ask_moto)
            case "EnableImageDeprecation" | "DisableImageDeprecation":
                return self._deprecate(request)
        self._ec2.images.known(request.region, request.parameters.get("ImageId", ""))
        return ask_moto()

    def _create(self, request: Request, ask_moto: Callable[[], Response]) -> Response:
        self._check_name(request)
        instance_id = request.parameters.get("InstanceId", "")
        if self._ec2.instances.state(instance_id) not in ("stopped", None):
            raise Refusal(
                "IncorrectState", f"The local cloud creates images of stopped instances only: {instance_id}"
            )
        snapshot_tags = request.take_tags("snapshot")  # moto ignores them in this operation
        answer = ask_moto()
        found = re.search(r"<imageId>(ami-[0-9a-f]+)</imageId>", answer.get_data(as_text=True))
        if answer.status_code == 200 and found:
            self._keep(request, found[1], snapshot_tags)
        return answer

    def _keep(self, request: Request, image_id: str, snapshot_tags: dict[str, str]) -> None:
        try:
            layers = self._hypervisor.slots.snapshot(request.parameters["InstanceId"], image_id)
            self._ec2.images.add_made(request.region, image_id, layers, snapshot_tags)
        except (BakeError, OSError) as error:
            self._ec2.images.drop(request.region, image_id)
            raise Refusal("IncorrectState", f"The image could not be saved: {error}") from error

    def _check_name(self, request: Request) -> None:
        name = request.parameters.get("Name", "")
        if not AMI_NAME.fullmatch(name):
            raise Refusal(
                "InvalidAMIName.Malformed",
                "AMI names must be between 3 and 128 characters long, and may contain letters, numbers, "
                "spaces and ()[]./-'@_",
            )
        if self._ec2.images.name_is_taken(request.region, name):
            raise Refusal("InvalidAMIName.Duplicate", f"AMI name {name} is already in use")

    def _copy(self, request: Request) -> Response:
        for name in ("Name", "SourceImageId", "SourceRegion"):
            if not request.parameters.get(name):
                raise Refusal("MissingParameter", f"The request must contain the parameter {name}")
        source = self._ec2.images.stored(
            request.parameters["SourceRegion"], request.parameters["SourceImageId"]
        )
        self._check_name(request)
        image, snapshot = plan_copy(request, *source)
        request.end_dry_run()
        self._ec2.images.add(image, snapshot)
        return request.answer(f"<imageId>{image.id}</imageId>")

    def _own(self, request: Request) -> Any:
        """Return the image that the request names; refuse one of another account."""
        image = self._ec2.images.known(request.region, request.parameters.get("ImageId", ""))
        if not self._ec2.images.is_own(image):
            raise Refusal("AuthFailure", f"Not authorized for image:{image.id}", 403)
        return image

    def _deregister(self, request: Request, ask_moto: Callable[[], Response]) -> Response:
        image = self._own(request)
        answer = ask_moto()
        if answer.status_code != 200:
            return answer
        self._ec2.images.remove(image.id, keep=self._hypervisor.slots.layers_in_use())
        if request.parameters.get("DeleteAssociatedSnapshots") != "true":
            return answer
        snapshot_id = image.ebs_snapshot.id
        self._ec2.images.remove_snapshot(request.region, snapshot_id)
        return request.answer(
            "<return>true</return><deleteSnapshotResultSet><item>"
            f"<snapshotId>{snapshot_id}</snapshotId><returnCode>success</returnCode>"
            "</item></deleteSnapshotResultSet>"
        )

    def _modify(self, request: Request, ask_moto: Callable[[], Response]) -> Response:
        image, parameters = self._own(request), request.parameters
        attribute = parameters.get("Attribute", "launchPermission")
        tokens = _value(parameters, "ImdsSupport", attribute)
        description = _value(parameters, "Description", attribute)
        if tokens is None and description is None:
            _refuse_to_share(image, parameters)
            answer = ask_moto()
        else:
            if tokens not in (None, TOKENS_ONLY):
                raise Refusal("InvalidParameterValue", f"Invalid value '{tokens}' for imdsSupport.")
            request.end_dry_run()
            image.imds_support = tokens or image.imds_support
            image.description = image.description if description is None else description
            answer = request.answer()
        self._ec2.images.save(request.region, image.id)
        return answer

    def _deprecate(self, request: Request) -> Response:
        image = self._own(request)
        enable = request.action == "EnableImageDeprecation"
        moment = deprecation_time(request.parameters.get("DeprecateAt", "")) if enable else None
        request.end_dry_run()
        image.deprecation_time = moment
        self._ec2.images.save(request.region, image.id)
        return request.answer()


def deprecation_time(text: str, now: datetime | None = None) -> str:
    """Return the time, rounded to the nearest minute, in the form of DescribeImages.

    Raises:
        Refusal: when it is not a time, has passed, or is more than ten years away.
    """
    now = now or datetime.now(UTC)
    try:
        requested = datetime.fromisoformat(text)
    except ValueError:
        raise Refusal(
            "InvalidParameterValue", f"Value ({text}) for parameter DeprecateAt is invalid."
        ) from None
    requested = requested if requested.tzinfo else requested.replace(tzinfo=UTC)
    if requested <= now:
        raise Refusal("InvalidParameterValue", f"DeprecateAt ({text}) is in the past.")
    if requested > now + LATEST_DEPRECATION:
        raise Refusal("InvalidParameterValue", f"DeprecateAt ({text}) is more than 10 years from now.")
    nearest = (requested.astimezone(UTC) + timedelta(seconds=30)).replace(second=0, microsecond=0)
    return nearest.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def _value(parameters: dict[str, str], name: str, attribute: str) -> str | None:
    """Return an attribute's new value, given under its name or as ``Attribute`` and ``Value``."""
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
