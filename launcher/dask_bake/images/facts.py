"""What is known of an image: its snapshot, its manifest, who uses it, if there is a newer base."""

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
    """One image that dask-bake made.

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
        """What is in it, out of its tags and those of its snapshot."""
        tags = {**dict(self.snapshot.tags if self.snapshot else ()), **dict(self.image.tags)}
        return manifest.from_tags(tuple(tags.items()))

    @property
    def verified(self) -> Verified | None:
        """What its check said; ``None`` while it is being made, and if that was given up."""
        value = self.image.tag(Tag.VERIFIED)
        return Verified(value) if value in set(Verified) else None

    @property
    def is_ready(self) -> bool:
        """True when clusters can start from it."""
        return self.image.state == AVAILABLE and self.verified in READY

    @property
    def environment(self) -> str:
        """The environment's name; empty for images that were baked before environments had one."""
        return self.image.tag(Tag.ENVIRONMENT)

    @property
    def kind(self) -> tuple[str, str, str]:
        """Environment, architecture and minor version of Python: images of one kind replace each other."""
        return self.environment, self.image.architecture, minor(self.image.tag(Tag.PYTHON))

    @property
    def digest(self) -> str:
        """The recipe's."""
        return self.image.tag(Tag.DIGEST)

    @property
    def is_superseded(self) -> bool | None:
        """True when there is a newer base image; ``None`` where that is not known."""
        base = self.image.tag(Tag.BASE_NAME)
        return self.newest_base > base if base and self.newest_base else None

    @property
    def bytes(self) -> int | None:
        """What its snapshot stores."""
        return self.snapshot.bytes if self.snapshot else None

    def age(self, now: datetime) -> timedelta:
        """How long ago it was made."""
        return max(now - self.image.created, timedelta())


def family(base_name: str) -> str:
    """The pattern of the names of a base image's successors; empty where the name has no date."""
    return DATED.sub("-*", base_name) if DATED.search(base_name) else ""


def choose(facts: Sequence[ImageFacts], reference: str | None) -> ImageFacts:
    """The image of that id, name or beginning of a digest; without one, the newest that is ready.

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
    """The image's manifest."""
    found = facts.manifest
    if found is None:
        raise BakeError(
            f"the image {facts.image.id} has no manifest: an older version baked it",
            hint="dask-bake bake --force bakes it anew, with one",
        )
    return found


def free_name(name: str, taken: Set[str]) -> str:
    """The name, numbered if it must be: names are unique, also those of images that failed."""
    names = (name, *(f"{name}-{number}" for number in range(2, len(taken) + 2)))
    return next(each for each in names if each not in taken)
