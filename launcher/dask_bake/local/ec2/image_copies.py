"""The plan of CopyImage: a new image of the account on the same layers, with a snapshot of its own."""

from dataclasses import replace
from datetime import UTC, datetime

from dask_bake.local.moto.models import DEFAULT_ACCOUNT_ID, random_ami_id, random_snapshot_id
from dask_bake.local.moto.records import TIME
from dask_bake.local.query_protocol import Refusal, Request
from dask_bake.local.storage.image_store import StoredImage, StoredSnapshot


def plan_copy(
    request: Request, image: StoredImage, snapshot: StoredSnapshot
) -> tuple[StoredImage, StoredSnapshot]:
    """Return the requested copy of an image, in the request's region, and the copy's snapshot.

    Permissions and deprecation are not copied; tags are with CopyImageTags, from an image of the account.

    Raises:
        Refusal: when a key is named without encryption.
    """
    encrypt = request.parameters.get("Encrypted") == "true"
    key = request.parameters.get("KmsKeyId", "")
    if key and not encrypt:
        raise Refusal(
            "InvalidParameterDependency", "The parameter KmsKeyId requires the parameter Encrypted to be set."
        )
    image_id, snapshot_id = random_ami_id(), random_snapshot_id()
    copy_tags = request.parameters.get("CopyImageTags") == "true" and image.owner == DEFAULT_ACCOUNT_ID
    copied_image = replace(
        image,
        id=image_id,
        name=request.parameters["Name"],
        description=request.parameters.get("Description", image.description),
        owner=DEFAULT_ACCOUNT_ID,
        region=request.region,
        created=datetime.now(UTC).strftime(TIME),
        public=False,
        tags=(image.tags if copy_tags else {}) | request.take_tags("image"),
        snapshot=snapshot_id,
        launch_permissions=(),
        deprecation_time=None,
        source_instance=None,
        source_image=image.id,
        source_region=request.parameters["SourceRegion"],
    )
    copied_snapshot = StoredSnapshot(
        id=snapshot_id,
        owner=DEFAULT_ACCOUNT_ID,
        region=request.region,
        image=image_id,
        started=copied_image.created,
        description=f"Copied for DestinationAmi {image_id} from SourceAmi {image.id} "
        f"for SourceSnapshot {snapshot.id}.",
        volume_size=snapshot.volume_size,
        encrypted=snapshot.encrypted or encrypt,
        kms_key=key,
        size_in_bytes=snapshot.size_in_bytes,
        tags=request.take_tags("snapshot"),
    )
    return copied_image, copied_snapshot
