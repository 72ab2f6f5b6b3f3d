"""One image with its snapshot, its manifest, its users, and whether there is a newer base."""

import re
from collections.abc import Sequence, Set
from dataclasses import dataclass
from datetime import datetime, timedelta

from dask_bake.errors import BakeError, UsageError
from dask_bake.images import manifest
from dask_bake.images.manifest import Manifest
from dask_bake.models.debian import minor
from dask_bake.models.ec2 import AVAILABLE, Image, Snapshot
from dask_bake.models.tags import READY, Tag, Verified

DATED = re.compile(r"-\d{8}(-[\w.]+)?$")
"""The end of a base image's name: the day, and which one of that day."""


@dataclass(frozen=True)
class ImageFacts:
    """An image that dask-bake made.

    Args:
        users: the clusters, and other instances, that run from it.
        newest_base: the name of the newest image of the family of its base, empty where that is not known.
        shared_with: other accounts, whose instances nobody here sees; filled in where it matters.
    """

    image: Image
    snapshot: Snapshot | None = None
    users: tuple[str, ...] = ()
    newest_base: str = ""
    shared_with: tuple[str, ...] = ()

    @property
    def manifest(self) -> Manifest | None:
        """The manifest, from the tags of the image and of its snapshot."""
        tags = {**dict(self.snapshot.tags if self.snapshot else ()), **dict(self.image.tags)}
        return manifest.from_tags(tuple(tags.items()))

    @property
    def verified(self) -> Verified | None:
        """The result of the verification; ``None`` while the image is being baked, or if the bake died."""
        value = self.image.tag(Tag.VERIFIED)
        return Verified(value) if value in set(Verified) else None

    @property
    def is_ready(self) -> bool:
        """True if clusters can start from it."""
        return self.image.state == AVAILABLE and self.verified in READY

    @property
    def environment(self) -> str:
        """The environment's name; empty for images of old versions."""
        return self.image.tag(Tag.ENVIRONMENT)

    @property
    def kind(self) -> tuple[str, str, str]:
        """Environment, architecture and minor version of Python: a newer image of the kind replaces it."""
        return self.environment, self.image.architecture, minor(self.image.tag(Tag.PYTHON))

    @property
    def digest(self) -> str:
        """The digest of its recipe."""
        return self.image.tag(Tag.DIGEST)

    @property
    def is_superseded(self) -> bool | None:
        """True if there is a newer base image; ``None`` if that is unknown."""
        base = self.image.tag(Tag.BASE_NAME)
        return self.newest_base > base if base and self.newest_base else None

    @property
    def bytes(self) -> int | None:
        """The size of its snapshot in storage."""
        return self.snapshot.bytes if self.snapshot else None

    def age(self, now: datetime) -> timedelta:
        """Return the time since its creation."""
        return max(now - self.image.created, timedelta())


def family(base_name: str) -> str:
    """Return the pattern of the names of newer base images; empty where the name has no date."""
    return DATED.sub("-*", base_name) if DATED.search(base_name) else ""


def choose(facts: Sequence[ImageFacts], reference: str | None) -> ImageFacts:
    """Return the image with that id, name or digest prefix; without a reference the newest ready one.

    ``facts`` are sorted, the newest first.
    """
    if reference is None:
        for each in facts:
            if each.is_ready:
                return each
        raise BakeError("there is no image in this region", hint="dask-bake bake makes one")
    found = [each for each in facts if reference in (each.image.id, each.image.name)]
    found = found or [each for each in facts if each.digest.startswith(reference.lower()) and reference]
    if not found:
        raise UsageError(
            f"there is no image {reference!r} in this region",
            hint="dask-bake images lists them; an id, a name or the beginning of a digest says which",
        )
    digests = sorted({each.digest for each in found})
    if len(digests) > 1:
        shown = ", ".join(digest[: len(reference) + 6] for digest in digests)
        raise UsageError(f"{reference!r} begins more than one digest: {shown}", hint="give more of it")
    return next((each for each in found if each.is_ready), found[0])


def require_manifest(facts: ImageFacts) -> Manifest:
    """Return the image's manifest, or raise if it has none."""
    found = facts.manifest
    if found is None:
        raise BakeError(
            f"the image {facts.image.id} has no manifest: an older version baked it",
            hint="dask-bake bake --force bakes it again, with a manifest",
        )
    return found


def free_name(name: str, taken: Set[str]) -> str:
    """Return the name, numbered if it is taken: the names of images are unique, failed ones included."""
    names = (name, *(f"{name}-{number}" for number in range(2, len(taken) + 2)))
    return next(each for each in names if each not in taken)
