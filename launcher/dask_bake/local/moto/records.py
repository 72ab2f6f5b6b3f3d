"""Conversion of images and snapshots between the image store's form and moto's."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from dask_bake.local.moto.models import DEFAULT_ACCOUNT_ID, Ami, Snapshot
from dask_bake.local.storage.image_store import StoredImage, StoredSnapshot

TIME = "%Y-%m-%dT%H:%M:%S.000Z"
"""The format of times in EC2's responses."""


class LocalAmi(Ami):
    """moto's image with the root disk of the stored one. EC2's root device type is ``ebs``, moto's is not."""

    def __init__(self, backend: Any, image: StoredImage, snapshot: Any) -> None:
        super().__init__(
            backend,
            image.id,
            name=image.name,
            description=image.description,
            owner_id=image.owner,
            public=image.public,
            virtualization_type="hvm",
            architecture=image.architecture,
            creation_date=_moment(image.created),
            root_device_type="ebs",
            root_device_name=image.root_device,
            hypervisor="xen",
            region_name=f"{backend.region_name}a",
            tags=image.tags,
        )
        del backend.snapshots[self.ebs_snapshot.id]
        self.ebs_snapshot = snapshot
        self.volume_type = image.volume_type
        self.launch_permissions.extend(image.launch_permissions)
        self.imds_support = image.imds_support
        self.deprecation_time = image.deprecation_time
        self.instance_id = image.source_instance
        self.source_image_id = image.source_image
        self.source_image_region = image.source_region

    @property
    def imds(self) -> str | None:
        """Return ``imds_support``, under the name that DescribeImageAttribute reads."""
        return self.imds_support

    @property
    def block_device_mappings(self) -> list[dict[str, Any]]:
        """Return the root disk of the image's instances."""
        disk = {
            "SnapshotId": self.ebs_snapshot.id,
            "VolumeSize": self.ebs_snapshot.volume_size,
            "VolumeType": self.volume_type,
            "Encrypted": self.ebs_snapshot.encrypted,
            "DeleteOnTermination": True,
        }
        return [{"DeviceName": self.root_device_name, "Ebs": disk}]


@dataclass(frozen=True)
class SourceVolume:
    """The properties that moto reads of a snapshot's volume."""

    id: str
    size: int


class LocalSnapshot(Snapshot):
    """moto's snapshot with the size and the key of the stored one."""

    def __init__(self, backend: Any, stored: StoredSnapshot) -> None:
        self.has_own_key = stored.encrypted and not stored.kms_key
        own_key = f"arn:aws:kms:{backend.region_name}:{DEFAULT_ACCOUNT_ID}:alias/aws/ebs"
        super().__init__(
            backend,
            stored.id,
            SourceVolume(stored.volume, stored.volume_size),
            stored.description,
            encrypted=stored.encrypted,
            kms_key_id=own_key if self.has_own_key else stored.kms_key or None,
            owner_id=stored.owner,
            from_ami=stored.image,
        )
        self.start_time = _moment(stored.started)
        self.full_snapshot_size_in_bytes = stored.size_in_bytes
        self.create_volume_permission_userids.update(stored.users)
        self.create_volume_permission_groups.update(stored.groups)
        self.add_tags(stored.tags)


def to_image(ami: Any, region: str, layers: tuple[str, ...], volume: Any) -> StoredImage:
    """Return the stored form of an image that moto has just made of an instance with that volume."""
    return StoredImage(
        id=ami.id,
        name=ami.name,
        description=ami.description or "",
        owner=ami.owner_id,
        region=region,
        created=ami.creation_date.strftime(TIME),
        layers=layers,
        architecture=ami.architecture,
        tags=_tags(ami),
        snapshot=ami.ebs_snapshot.id,
        volume_type=volume.volume_type,
        source_instance=ami.instance_id,
        source_image=ami.instance.image_id,
        source_region=region,
    )


def to_stored_snapshot(
    ami: Any, region: str, volume: Any, *, size_in_bytes: int, tags: Mapping[str, str]
) -> StoredSnapshot:
    """Return the stored form of the snapshot of an image that moto has just made."""
    own_key = volume.kms_key_id in (None, volume.ec2_backend.default_kms_key_id)
    return StoredSnapshot(
        id=ami.ebs_snapshot.id,
        owner=ami.owner_id,
        region=region,
        image=ami.id,
        started=ami.creation_date.strftime(TIME),
        description=ami.ebs_snapshot.description,
        volume=volume.id,
        volume_size=int(volume.size),
        encrypted=bool(volume.encrypted),
        kms_key="" if own_key else volume.kms_key_id,
        size_in_bytes=size_in_bytes,
        tags=dict(tags),
    )


def changed_image(stored: StoredImage, ami: Any) -> StoredImage:
    """Return the stored image with the changeable properties of moto's; of a public one, the tags."""
    if stored.public:
        return replace(stored, tags=_tags(ami))
    return replace(
        stored,
        tags=_tags(ami),
        description=ami.description or "",
        launch_permissions=tuple(dict(permission) for permission in ami.launch_permissions),
        imds_support=ami.imds_support,
        deprecation_time=ami.deprecation_time,
    )


def changed_snapshot(stored: StoredSnapshot, snapshot: Any) -> StoredSnapshot:
    """Return the stored snapshot with the changeable properties of moto's."""
    return replace(
        stored,
        tags=_tags(snapshot),
        users=tuple(sorted(snapshot.create_volume_permission_userids)),
        groups=tuple(sorted(snapshot.create_volume_permission_groups)),
    )


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=None)


def _tags(resource: Any) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in resource.get_tags()}
