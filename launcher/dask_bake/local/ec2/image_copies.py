"""What CopyImage makes: an image of the account's own on the same layers, with a snapshot of its own."""

from dataclasses import replace
from datetime import UTC, datetime

from dask_bake.local.moto.models import DEFAULT_ACCOUNT_ID, random_ami_id, random_snapshot_id
from dask_bake.local.moto.records import TIME
from dask_bake.local.query_protocol import Call, Refusal
from dask_bake.local.storage.image_store import StoredImage, StoredSnapshot


def plan_copy(call: Call, image: StoredImage, snapshot: StoredSnapshot) -> tuple[StoredImage, StoredSnapshot]:
    """The copy that the call asks for, in the region that it was sent to.

    Permissions and deprecation are not copied, tags only if that is asked for, and never somebody else's.

    Raises:
        Refusal: when a key is named, and encryption was not asked for.
    """
    encrypt = call.parameters.get("Encrypted") == "true"
    key = call.parameters.get("KmsKeyId", "")
    if key and not encrypt:
        raise Refusal(
            "InvalidParameterDependency", "The parameter KmsKeyId requires the parameter Encrypted to be set."
        )
    image_id, snapshot_id = random_ami_id(), random_snapshot_id()
    copy_tags = call.parameters.get("CopyImageTags") == "true" and image.owner == DEFAULT_ACCOUNT_ID
    copied_image = replace(
        image,
        id=image_id,
        name=call.parameters["Name"],
        description=call.parameters.get("Description", image.description),
        owner=DEFAULT_ACCOUNT_ID,
        region=call.region,
        created=datetime.now(UTC).strftime(TIME),
        public=False,
        tags=(image.tags if copy_tags else {}) | call.take_tags("image"),
        snapshot=snapshot_id,
        launch_permissions=(),
        deprecation_time=None,
        source_instance=None,
        source_image=image.id,
        source_region=call.parameters["SourceRegion"],
    )
    copied_snapshot = StoredSnapshot(
        id=snapshot_id,
        owner=DEFAULT_ACCOUNT_ID,
        region=call.region,
        image=image_id,
        started=copied_image.created,
        description=f"Copied for DestinationAmi {image_id} from SourceAmi {image.id} "
        f"for SourceSnapshot {snapshot.id}.",
        volume_size=snapshot.volume_size,
        encrypted=snapshot.encrypted or encrypt,
        kms_key=key,
        size_in_bytes=snapshot.size_in_bytes,
        tags=call.take_tags("snapshot"),
    )
    return copied_image, copied_snapshot
