"""moto's images and snapshots, loaded from the image store and saved to it when they change."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dask_bake.local.moto.models import DEFAULT_ACCOUNT_ID, ec2_backends
from dask_bake.local.moto.records import (
    LocalAmi,
    LocalSnapshot,
    changed_image,
    changed_snapshot,
    to_image,
    to_stored_snapshot,
)
from dask_bake.local.query_protocol import Refusal
from dask_bake.local.storage.image_store import ImageStore, StoredImage, StoredSnapshot


class MotoImages:
    """The images and snapshots of every region."""

    def __init__(self, store: ImageStore) -> None:
        self._store = store

    def load(self, backend: Any) -> None:
        """Load a region's images and snapshots from the store into moto."""
        for snapshot in self._store.snapshots():
            if snapshot.region == backend.region_name:
                _put_snapshot(backend, snapshot)
        for image in self._store.all():
            if image.public or image.region == backend.region_name:
                snapshot = replace(self._snapshot_of(image), region=backend.region_name)
                backend.amis[image.id] = LocalAmi(backend, image, _put_snapshot(backend, snapshot))

    def publish(self, image: StoredImage) -> None:
        """Add a new public image to every region that moto has loaded."""
        for backend in tuple(ec2_backends[DEFAULT_ACCOUNT_ID].values()):
            snapshot = replace(self._snapshot_of(image), region=backend.region_name)
            backend.amis[image.id] = LocalAmi(backend, image, _put_snapshot(backend, snapshot))

    def _snapshot_of(self, image: StoredImage) -> StoredSnapshot:
        """Return the image's snapshot; save its size if an older version of the local cloud did not."""
        snapshot = self._store.snapshot_of(image)
        if snapshot.size_in_bytes is None and not image.public:
            snapshot = replace(snapshot, size_in_bytes=self._store.size(image.layers[-1:]))
            self._store.save_snapshot(snapshot)
        return snapshot

    def add(self, image: StoredImage, snapshot: StoredSnapshot) -> None:
        """Save a new image of the account and its snapshot, and add both to moto."""
        if snapshot.size_in_bytes is None:
            snapshot = replace(snapshot, size_in_bytes=self._store.size(image.layers))
        self._store.save_snapshot(snapshot)
        self._store.save(image)
        backend = _backend(image.region)
        backend.amis[image.id] = LocalAmi(backend, image, _put_snapshot(backend, snapshot))

    def add_made(
        self, region: str, image_id: str, layers: tuple[str, ...], snapshot_tags: Mapping[str, str]
    ) -> None:
        """Save an image that moto has just made of an instance, and the properties of the instance's disk."""
        backend = _backend(region)
        ami = backend.amis[image_id]
        volume = _root_volume(backend, ami.instance)
        image = to_image(ami, region, layers, volume)
        size = self._store.size(self._own_layers(image))
        snapshot = to_stored_snapshot(ami, region, volume, size_in_bytes=size, tags=snapshot_tags)
        self.add(image, snapshot)

    def _own_layers(self, image: StoredImage) -> tuple[str, ...]:
        """Return the layers that the image adds to its source image."""
        source = self._store.get(image.source_image or "")
        return tuple(layer for layer in image.layers if source is None or layer not in source.layers)

    def known(self, region: str, image_id: str) -> Any:
        """Return moto's image.

        Raises:
            Refusal: when there is none with that id in the region.
        """
        return _found(_backend(region).amis.get(image_id), image_id)

    def is_own(self, image: Any) -> bool:
        """Return whether the image is the account's."""
        return bool(image.owner_id == DEFAULT_ACCOUNT_ID)

    def snapshot(self, region: str, snapshot_id: str) -> Any | None:
        """Return moto's snapshot, or None where the region has none with that id."""
        return _backend(region).snapshots.get(snapshot_id)

    def stored(self, region: str, image_id: str) -> tuple[StoredImage, StoredSnapshot]:
        """Return the stored image and snapshot; moto need not have loaded the region yet.

        Raises:
            Refusal: when there is none with that id in the region.
        """
        image = self._store.get(image_id)
        visible = image if image and (image.public or image.region == region) else None
        found: StoredImage = _found(visible, image_id)
        return found, self._snapshot_of(found)

    def name_is_taken(self, region: str, name: str) -> bool:
        """Return whether one of the account's images has that name."""
        images = _backend(region).amis.values()
        return any(image.name == name and image.owner_id == DEFAULT_ACCOUNT_ID for image in images)

    def drop(self, region: str, image_id: str) -> None:
        """Remove from moto an image that could not be saved."""
        backend = _backend(region)
        ami = backend.amis.pop(image_id)
        backend.snapshots.pop(ami.ebs_snapshot.id, None)

    def save(self, region: str, resource_id: str) -> None:
        """Save an image or a snapshot after a change; other resources are not stored."""
        backend = _backend(region)
        image = self._store.get(resource_id)
        if image and resource_id in backend.amis:
            self._store.save(changed_image(image, backend.amis[resource_id]))
        for snapshot in self._store.snapshots():
            if snapshot.id == resource_id and resource_id in backend.snapshots:
                self._store.save_snapshot(changed_snapshot(snapshot, backend.snapshots[resource_id]))

    def remove(self, image_id: str, *, keep: frozenset[str]) -> None:
        """Remove a deregistered image and the layers that nothing else needs; its snapshot stays."""
        self._store.remove(image_id)
        self._store.sweep(keep)

    def remove_snapshot(self, region: str, snapshot_id: str) -> None:
        """Remove a snapshot, with its tags."""
        backend = _backend(region)
        backend.snapshots.pop(snapshot_id, None)
        backend.tags.pop(snapshot_id, None)
        self._store.remove_snapshot(snapshot_id)


def _backend(region: str) -> Any:
    return ec2_backends[DEFAULT_ACCOUNT_ID][region]


def _found(image: Any, image_id: str) -> Any:
    if not image_id.startswith("ami-"):
        raise Refusal("InvalidAMIID.Malformed", f'Invalid id: "{image_id}" (expecting "ami-...")')
    if image is None:
        raise Refusal("InvalidAMIID.NotFound", f"The image id '[{image_id}]' does not exist")
    return image


def _put_snapshot(backend: Any, stored: StoredSnapshot) -> Any:
    snapshot = backend.snapshots[stored.id] = LocalSnapshot(backend, stored)
    return snapshot


def _root_volume(backend: Any, instance: Any) -> Any:
    mappings = instance.block_device_mapping
    device = mappings.get(instance.root_device_name) or next(iter(mappings.values()))
    return backend.volumes[device.volume_id]
