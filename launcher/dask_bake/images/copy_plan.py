"""Plan the copy of an image to another region."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from dask_bake.errors import BakeError, UsageError
from dask_bake.images.facts import ImageFacts, free_name
from dask_bake.models.ec2 import Image, ImageSettings
from dask_bake.models.tags import Tag, Tags

SOON = timedelta(minutes=5)
"""EC2 deprecates nothing in the past."""


class CopyStep(StrEnum):
    """The remaining work of a copy."""

    COPY = "copy"
    FINISH = "finish"
    NOTHING = "nothing"


@dataclass(frozen=True)
class CopyPlan:
    """A copy of an image in another region.

    Args:
        there: the image in that region that is the copy already, or was to become it.
        tags: the copy's from the beginning; ``verified`` is given when it is whole.
    """

    source: Image
    from_region: str
    to_region: str
    step: CopyStep
    name: str
    description: str
    tags: Tags
    snapshot_tags: Tags
    verified: Tags
    deprecation: datetime | None = None
    there: Image | None = None


def plan_copy(
    facts: ImageFacts,
    settings: ImageSettings,
    *,
    from_region: str,
    to_region: str,
    there: Sequence[Image],
    now: datetime,
) -> CopyPlan:
    """Plan a copy; ``there`` are the images in that region, newest first.

    An image in that region with the same digest, but not verified, is a copy that somebody began: a bake
    there has another base image, and so another digest.
    """
    source = facts.image
    if not facts.is_ready:
        raise BakeError(
            f"the image {source.id} is not verified: its bake is still running or was aborted",
            hint="dask-bake images shows the ones that are",
        )
    twins = [ImageFacts(each) for each in there if each.tag(Tag.DIGEST) == facts.digest]
    ready = next((each.image for each in twins if each.is_ready), None)
    begun = next((each.image for each in twins if each.image.state in ("available", "pending")), None)
    step = CopyStep.NOTHING if ready else CopyStep.FINISH if begun else CopyStep.COPY
    found = ready or begun
    name = found.name if found else free_name(source.name, {each.name for each in there})
    return CopyPlan(
        source=source,
        from_region=from_region,
        to_region=to_region,
        step=step,
        name=name,
        description=settings.description,
        tags=_named(_own(source.tags), name),
        snapshot_tags=_named(_own(facts.snapshot.tags if facts.snapshot else ()), name),
        verified=((Tag.VERIFIED, source.tag(Tag.VERIFIED)),),
        deprecation=max(settings.deprecation, now + SOON) if settings.deprecation else None,
        there=found,
    )


def _own(tags: Tags) -> Tags:
    """Return the tags that can be copied: not AWS's own, and not ``verified``, which is set last."""
    return tuple((key, value) for key, value in tags if not key.startswith("aws:") and key != Tag.VERIFIED)


def _named(tags: Tags, name: str) -> Tags:
    return tuple(sorted({**dict(tags), "Name": name, Tag.MANAGED: "true"}.items()))


def check_regions(regions: Sequence[str], *, source: str, known: Sequence[str]) -> tuple[str, ...]:
    """Check the regions to copy to, and return each once."""
    for region in regions:
        if region == source:
            raise UsageError(f"the image is in {region} already", hint="name another region")
        if region not in known:
            nearest = difflib.get_close_matches(region, known, n=4, cutoff=0.3) or known
            raise UsageError(
                f"there is no region {region!r} for this account", hint=f"there is {', '.join(nearest)}"
            )
    return tuple(dict.fromkeys(regions))
