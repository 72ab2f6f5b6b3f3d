"""Images on disk: a JSON file for each, and the read-only layers that they are stacks of."""

import json
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from dask_bake.local.settings import Settings


@dataclass(frozen=True)
class StoredImage:
    """An AMI of the local cloud. ``layers`` are names of folders, the lowest first."""

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


class ImageStore:
    """The images of a local cloud, which survive its server."""

    def __init__(self, settings: Settings) -> None:
        self._images = settings.images
        self._layers = settings.layers
        for folder in (self._images, self._layers):
            folder.mkdir(parents=True, exist_ok=True)

    def all(self) -> tuple[StoredImage, ...]:
        """Every image, oldest first."""
        stored = (json.loads(path.read_text()) for path in sorted(self._images.glob("ami-*.json")))
        images = (StoredImage(**{**image, "layers": tuple(image["layers"])}) for image in stored)
        return tuple(sorted(images, key=lambda image: image.created))

    def get(self, image_id: str) -> StoredImage | None:
        """The image, if it is here."""
        return next((image for image in self.all() if image.id == image_id), None)

    def save(self, image: StoredImage) -> None:
        """Write the image down, whole or not at all."""
        path = self._images / f"{image.id}.json"
        draft = path.with_suffix(".tmp")
        try:
            draft.write_text(json.dumps(asdict(image), indent=2))
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)

    def remove(self, image_id: str) -> None:
        """Forget the image; ``sweep`` removes its layers."""
        (self._images / f"{image_id}.json").unlink(missing_ok=True)

    def sweep(self, keep: Iterable[str]) -> None:
        """Remove the layers that neither an image nor ``keep`` needs."""
        needed = {layer for image in self.all() for layer in image.layers} | set(keep)
        for folder in self._layers.iterdir():
            if folder.name not in needed:
                shutil.rmtree(folder, ignore_errors=True)

    def layer(self, name: str) -> Path:
        """Where a layer's tree is."""
        return self._layers / name
