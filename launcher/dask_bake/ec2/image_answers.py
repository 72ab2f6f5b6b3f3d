"""EC2's answers about images and snapshots, as our own types."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from dask_bake.ec2 import responses
from dask_bake.errors import BakeError
from dask_bake.models.ec2 import ImageSettings, Snapshot
from dask_bake.models.tags import Tag


def snapshot(answer: Mapping[str, Any]) -> Snapshot:
    """A snapshot; one without a time is from the epoch."""
    return Snapshot(
        id=answer["SnapshotId"],
        volume_size=answer.get("VolumeSize", 0),
        started=answer.get("StartTime", datetime.fromtimestamp(0, UTC)),
        bytes=answer.get("FullSnapshotSizeInBytes"),
        encrypted=answer.get("Encrypted", False),
        tags=responses.tags(answer.get("Tags")),
    )


def settings(answer: Mapping[str, Any], permissions: Iterable[Mapping[str, str]]) -> ImageSettings:
    """An image's settings; each permission names an account, an organisation or a group."""
    deprecation = answer.get("DeprecationTime")
    return ImageSettings(
        description=answer.get("Description") or "",
        deprecation=datetime.fromisoformat(deprecation.replace("Z", "+00:00")) if deprecation else None,
        requires_tokens=answer.get("ImdsSupport") == "v2.0",
        shared_with=tuple(sorted(name for permission in permissions for name in permission.values())),
    )


def user(answer: Mapping[str, Any]) -> str:
    """The cluster that an instance belongs to, or its own id."""
    return dict(responses.tags(answer.get("Tags"))).get(Tag.CLUSTER) or str(answer["InstanceId"])


def broken(image_id: str, region: str, state: str, answers: Sequence[Mapping[str, Any]]) -> BakeError:
    """Why an image will never be available."""
    reason = answers[0].get("StateReason", {}).get("Message", "") if answers else "somebody removed it"
    return BakeError(
        f"the image {image_id} in {region} is {state}: {reason or 'EC2 does not say why'}", hint="try again"
    )
