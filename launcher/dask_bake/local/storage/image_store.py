"""Images and snapshots on disk: a JSON file for each, and the read-only layers of images."""

import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dask_bake.local.settings import Settings
from dask_bake.local.storage.ownership import is_shifted, shift
from dask_bake.system.files import make_private

STAT_BLOCK = 512
"""The unit of ``st_blocks`` (stat(3type)), whatever the file system's own is."""


@dataclass(frozen=True)
class StoredImage:
    """An AMI of the local cloud. ``layers`` are names of folders, the lowest first.

    A ``public`` image belongs to another account and is in every region. Fields that older versions did not
    write have defaults.
    """

    id: str
    name: str
    description: str
    owner: str
    region: str
    created: str
    layers: tuple[str, ...]
    architecture: str = "x86_64"
    root_device: str = "/dev/xvda"
    public: bool = False
    tags: dict[str, str] = field(default_factory=dict)
    snapshot: str = ""
    volume_type: str = "gp3"
    launch_permissions: tuple[dict[str, str], ...] = ()
    imds_support: str | None = None
    deprecation_time: str | None = None
    source_instance: str | None = None
    source_image: str | None = None
    source_region: str | None = None

    @property
    def snapshot_id(self) -> str:
        """The id of its snapshot; derived for an image that an older version wrote without one."""
        return self.snapshot or f"snap-{self.id.removeprefix('ami-')}"


@dataclass(frozen=True)
class StoredSnapshot:
    """The snapshot of an image's disk, which outlives the image.

    ``kms_key`` is empty where no key was named: an encrypted snapshot then has the account's default key.
    """

    id: str
    owner: str
    region: str
    image: str
    started: str
    description: str = ""
    volume: str = "vol-ffffffff"  # EC2's id of an unknown volume
    volume_size: int = 8
    encrypted: bool = False
    kms_key: str = ""
    size_in_bytes: int | None = None
    tags: dict[str, str] = field(default_factory=dict)
    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


class ImageStore:
    """The images and snapshots of a local cloud, which are kept when its server ends."""

    def __init__(self, settings: Settings) -> None:
        self._images = settings.images
        self._snapshots = settings.snapshots
        self._layers = settings.layers
        for folder in (self._images, self._snapshots, self._layers):
            make_private(folder)

    def all(self) -> tuple[StoredImage, ...]:
        """Return every image, oldest first."""
        images = (StoredImage(**_read(path)) for path in sorted(self._images.glob("ami-*.json")))
        return tuple(sorted(images, key=lambda image: image.created))

    def get(self, image_id: str) -> StoredImage | None:
        """Return the image, or None."""
        return next((image for image in self.all() if image.id == image_id), None)

    def save(self, image: StoredImage) -> None:
        """Save the image atomically."""
        _write(self._images / f"{image.id}.json", asdict(image))

    def remove(self, image_id: str) -> None:
        """Remove the image; ``sweep`` removes its layers."""
        (self._images / f"{image_id}.json").unlink(missing_ok=True)

    def snapshots(self) -> tuple[StoredSnapshot, ...]:
        """Return every snapshot, also those without an image."""
        return tuple(StoredSnapshot(**_read(path)) for path in sorted(self._snapshots.glob("snap-*.json")))

    def snapshot_of(self, image: StoredImage) -> StoredSnapshot:
        """Return the image's snapshot, as stored or derived from the image."""
        found = next((snapshot for snapshot in self.snapshots() if snapshot.id == image.snapshot_id), None)
        return found or StoredSnapshot(
            image.snapshot_id, image.owner, image.region, image.id, started=image.created
        )

    def save_snapshot(self, snapshot: StoredSnapshot) -> None:
        """Save the snapshot atomically."""
        _write(self._snapshots / f"{snapshot.id}.json", asdict(snapshot))

    def remove_snapshot(self, snapshot_id: str) -> None:
        """Remove the snapshot."""
        (self._snapshots / f"{snapshot_id}.json").unlink(missing_ok=True)

    def size(self, layers: Iterable[str]) -> int:
        """Return the bytes that these layers take on disk."""
        return bytes_on_disk(self.layer(name) for name in layers)

    def sweep(self, keep: Iterable[str], *, at_start: bool = False) -> None:
        """Remove the layers that neither an image nor ``keep`` needs.

        Except ``at_start``, base trees without an image are kept, as they may be in the making.
        """
        needed = {layer for image in self.all() for layer in image.layers} | set(keep)
        for folder in self._layers.iterdir():
            may_be_new = not at_start and folder.name.startswith(("base-", "draft-"))
            if folder.name not in needed and not may_be_new:
                shutil.rmtree(folder, ignore_errors=True)

    def shift_layers(self) -> None:
        """Give the layers that an older version made to the users that instances have on the host."""
        for layer in self._layers.iterdir():
            if not is_shifted(layer):
                shift(layer)

    def layer(self, name: str) -> Path:
        """Return the folder of a layer."""
        return self._layers / name


def bytes_on_disk(trees: Iterable[Path]) -> int:
    """Return what ``du`` shows for them: links are not followed, and a file of several names counts once."""
    seen: set[tuple[int, int]] = set()
    total = 0
    for tree in trees:
        for folder, _, names in os.walk(tree):
            for path in (folder, *(os.path.join(folder, name) for name in names)):  # noqa: PTH118 - many
                status = os.lstat(path)
                if (status.st_dev, status.st_ino) not in seen:
                    seen.add((status.st_dev, status.st_ino))
                    total += status.st_blocks * STAT_BLOCK
    return total


def _read(path: Path) -> dict[str, Any]:
    written = json.loads(path.read_text())
    return {name: tuple(value) if isinstance(value, list) else value for name, value in written.items()}


def _write(path: Path, values: dict[str, Any]) -> None:
    draft = path.with_suffix(".tmp")
    try:
        draft.write_text(json.dumps(values, indent=2))
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
