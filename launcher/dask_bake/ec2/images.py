"""Images and their snapshots in dask-bake's own types: each method is one step, or one kind of query."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from dask_bake.ec2 import requests, responses
from dask_bake.ec2.client import Clients
from dask_bake.ec2.errors import code_of, image_errors, translated
from dask_bake.errors import BakeError
from dask_bake.events import Notify
from dask_bake.models.cloud import DEBIAN_ACCOUNT, Cloud
from dask_bake.models.ec2 import AVAILABLE, Image, ImageSettings, Snapshot
from dask_bake.models.tags import Tag, Tags

if TYPE_CHECKING:
    from mypy_boto3_ec2.client import EC2Client

PAGE = 200
"""Images or snapshots in a response, and values in a filter (EC2 API reference)."""

LIVE = ("pending", "running", "shutting-down", "stopping", "stopped")
BROKEN = frozenset({"failed", "error", "invalid", "deregistered", "disabled"})
PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)
POLL = 2.0


class Ec2Images:
    """Client for the images in one region.

    Args:
        client: EC2 client with the retry policy.
        region: the client's region.
        sleep: called between two polls.
        clock: monotonic time in seconds.
    """

    def __init__(
        self,
        client: "EC2Client",
        *,
        region: str,
        sleep: Callable[[float], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = client
        self.region = region
        self._sleep = sleep
        self._clock = clock

    def mine(self) -> tuple[Image, ...]:
        """Return every image of the account that dask-bake created, in any state, newest first."""
        wanted = {f"tag:{Tag.MANAGED}": "true", "tag-key": Tag.DIGEST}
        return _newest_first(self._images(owner="self", filters=wanted))

    def published(self, patterns: Sequence[str]) -> tuple[Image, ...]:
        """Return Debian's images whose names match a pattern, newest first."""
        filters = {"name": patterns, "state": AVAILABLE}
        return _newest_first(self._images(owner=DEBIAN_ACCOUNT, filters=filters)) if patterns else ()

    def snapshots(self, ids: Iterable[str]) -> Mapping[str, Snapshot]:
        """Return the account's snapshots with these ids, without those that do not exist."""
        found: dict[str, Snapshot] = {}
        for some in _batches(ids):
            found |= {each.id: each for each in self._snapshots({"snapshot-id": some})}
        return found

    def tagged_snapshots(self) -> tuple[Snapshot, ...]:
        """Return every snapshot of the account with dask-bake's tags, also one without an image."""
        return tuple(self._snapshots({f"tag:{Tag.MANAGED}": "true", "tag-key": Tag.DIGEST}))

    def users_of(self, image_ids: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
        """Return for each image what runs from it: cluster names, or instance ids outside a cluster."""
        users: dict[str, set[str]] = {}
        for some in _batches(image_ids):
            for instance in self._instances({"image-id": some, "instance-state-name": LIVE}):
                users.setdefault(instance["ImageId"], set()).add(responses.user(instance))
        return {image_id: tuple(sorted(names)) for image_id, names in users.items()}

    def settings_of(self, image_id: str) -> ImageSettings:
        """Return the image's description, deprecation, IMDS setting and launch permissions."""
        with image_errors("DescribeImages"):
            answer = self._client.describe_images(ImageIds=[image_id])["Images"][0]
        with image_errors("DescribeImageAttribute"):
            shared: Any = self._client.describe_image_attribute(
                ImageId=image_id, Attribute="launchPermission"
            )
        return responses.settings(answer, shared.get("LaunchPermissions", []))

    def regions(self) -> tuple[str, ...]:
        """Return the regions that are enabled for the account."""
        with translated("DescribeRegions"):
            answer = self._client.describe_regions()
        return tuple(sorted(each["RegionName"] for each in answer["Regions"]))

    def require_imdsv2(self, image_id: str) -> None:
        """Require IMDSv2 for instances of the image, unless their request says otherwise."""
        with image_errors("ModifyImageAttribute"):
            self._client.modify_image_attribute(ImageId=image_id, ImdsSupport={"Value": "v2.0"})

    def deprecate(self, image_id: str, when: datetime) -> None:
        """Deprecate the image from a time on: only its owner finds it, and running instances go on."""
        with image_errors("EnableImageDeprecation"):
            self._client.enable_image_deprecation(ImageId=image_id, DeprecateAt=when)

    def tag(self, resource_ids: Sequence[str], tags: Tags) -> None:
        """Add the tags to the resources."""
        with image_errors("CreateTags"):
            self._client.create_tags(Resources=list(resource_ids), Tags=_tags(tags))

    def remove(self, image: Image) -> None:
        """Deregister the image and delete its snapshots; ignore what does not exist."""
        _unless_gone(lambda: self._deregister(image.id), "InvalidAMIID")
        snapshot_ids = {each.id for each in self._snapshots_for(image.id)}
        snapshot_ids |= {image.snapshot_id} if image.snapshot_id else set()
        for snapshot_id in sorted(snapshot_ids):
            self.remove_snapshot(snapshot_id)

    def remove_snapshot(self, snapshot_id: str) -> None:
        """Delete the snapshot; retry while EC2 still counts it as in use by its image."""
        for pause in PAUSES:
            try:
                return self._delete_snapshot(snapshot_id)
            except BakeError as error:
                if code_of(error.__cause__) != "InvalidSnapshot.InUse":
                    raise
            self._sleep(pause)
        return self._delete_snapshot(snapshot_id)

    def copy(
        self,
        image: Image,
        *,
        from_region: str,
        name: str,
        client_token: str,
        description: str,
        tags: Tags,
        snapshot_tags: Tags,
    ) -> str:
        """Start an encrypted copy into this region, tagged by the same call, and return its id.

        ``CopyImageTags`` is not used: it would tag a pending copy as verified.
        """
        kinds = [("image", tags), ("snapshot", snapshot_tags)]
        request: Any = {
            "SourceImageId": image.id,
            "SourceRegion": from_region,
            "Name": name,
            "ClientToken": client_token,
            "Encrypted": True,
            "TagSpecifications": [
                each for kind, some in kinds if some for each in requests.tag_specifications(some, kind)
            ],
        }
        if description:
            request["Description"] = description
        with image_errors("CopyImage"):
            answer = self._client.copy_image(**request)
        return answer["ImageId"]

    def wait_available(self, image_id: str, *, timeout: float) -> Image:
        """Wait until the image is available and return it."""
        deadline = self._clock() + timeout
        was_seen = False
        while True:
            answers = list(self._answers("self", {"image-id": image_id}))
            state = (
                answers[0].get("State", AVAILABLE) if answers else "deregistered" if was_seen else "pending"
            )
            if state == AVAILABLE:
                return responses.image(answers[0])
            if state in BROKEN:
                raise responses.broken(image_id, self.region, state, answers)
            was_seen = was_seen or bool(answers)
            if self._clock() >= deadline:
                raise BakeError(
                    f"waited {timeout:.0f} s for the image {image_id} in {self.region}, it is still {state}",
                    hint="AWS is slow to copy now: try again later",
                )
            self._sleep(POLL)

    def share(self, image: Image, accounts: Sequence[str]) -> None:
        """Allow the accounts to launch from the image and to copy it."""
        self._permit(image, accounts, "Add")

    def unshare(self, image: Image, accounts: Sequence[str]) -> None:
        """Withdraw the accounts' launch permission; their running instances go on."""
        self._permit(image, accounts, "Remove")

    def _permit(self, image: Image, accounts: Sequence[str], change: str) -> None:
        permission: Any = {change: [{"UserId": account} for account in accounts]}
        with image_errors("ModifyImageAttribute"):
            self._client.modify_image_attribute(ImageId=image.id, LaunchPermission=permission)
        if image.snapshot_id:
            with image_errors("ModifySnapshotAttribute"):
                self._client.modify_snapshot_attribute(
                    SnapshotId=image.snapshot_id,
                    Attribute="createVolumePermission",
                    OperationType="add" if change == "Add" else "remove",
                    UserIds=list(accounts),
                )

    def _deregister(self, image_id: str) -> None:
        with translated("DeregisterImage"):
            self._client.deregister_image(ImageId=image_id)

    def _delete_snapshot(self, snapshot_id: str) -> None:
        def delete() -> None:
            with translated("DeleteSnapshot"):
                self._client.delete_snapshot(SnapshotId=snapshot_id)

        _unless_gone(delete, "InvalidSnapshot.NotFound")

    def _snapshots_for(self, image_id: str) -> Iterator[Snapshot]:
        """Find an image's snapshots by their descriptions; a pending image does not list them."""
        made, copied = f"Created by CreateImage(*) for {image_id}*", f"Copied for DestinationAmi {image_id}*"
        return self._snapshots({"description": (made, copied)})

    def _images(self, *, owner: str, filters: Mapping[str, str | Sequence[str]]) -> list[Image]:
        return [responses.image(each) for each in self._answers(owner, filters)]

    def _answers(self, owner: str, filters: Mapping[str, str | Sequence[str]]) -> Iterator[Any]:
        request: Any = {"Owners": [owner], "Filters": requests.filters(filters)}
        if owner == "self":
            request["IncludeDisabled"] = True
        with translated("DescribeImages"):
            for page in self._client.get_paginator("describe_images").paginate(
                **request, PaginationConfig=_PAGE
            ):
                yield from page.get("Images", [])

    def _snapshots(self, filters: Mapping[str, str | Sequence[str]]) -> Iterator[Snapshot]:
        request: Any = {"OwnerIds": ["self"], "Filters": requests.filters(filters)}
        with translated("DescribeSnapshots"):
            pages = self._client.get_paginator("describe_snapshots")
            for page in pages.paginate(**request, PaginationConfig=_PAGE):
                yield from map(responses.snapshot, page.get("Snapshots", []))

    def _instances(self, filters: Mapping[str, str | Sequence[str]]) -> Iterator[Any]:
        request: Any = {"Filters": requests.filters(filters)}
        with translated("DescribeInstances"):
            for page in self._client.get_paginator("describe_instances").paginate(**request):
                for reservation in page.get("Reservations", []):
                    yield from reservation["Instances"]


_PAGE: Any = {"PageSize": PAGE}


def connect_images(cloud: Cloud, notify: Notify) -> Ec2Images:
    """Return the client for the images in the cloud's region; each call sends an event."""
    return Ec2Images(Clients(cloud, notify).ec2(), region=cloud.region, sleep=time.sleep)


def _newest_first(images: Iterable[Image]) -> tuple[Image, ...]:
    return tuple(sorted(images, key=lambda each: (each.created, each.id), reverse=True))


def _batches(ids: Iterable[str]) -> Iterator[list[str]]:
    listed = list(ids)
    return (listed[start : start + PAGE] for start in range(0, len(listed), PAGE))


def _unless_gone(call: Callable[[], None], code: str) -> None:
    try:
        call()
    except BakeError as error:
        if not code_of(error.__cause__).startswith(code):
            raise


def _tags(tags: Tags) -> Any:
    return [{"Key": key, "Value": value} for key, value in tags]
