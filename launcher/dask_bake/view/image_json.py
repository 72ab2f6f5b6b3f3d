"""Images, their differences and plans as plain data, for ``--json``."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

from dask_bake.images import manifest
from dask_bake.images.copy_plan import CopyPlan
from dask_bake.images.differences import Difference, Differences
from dask_bake.images.facts import ImageFacts
from dask_bake.images.prune import PrunePlan, Verdict
from dask_bake.images.share import SharePlan
from dask_bake.models.ec2 import Image, ImageSettings
from dask_bake.models.tags import Tag


def image_document(facts: ImageFacts, now: datetime) -> dict[str, Any]:
    """Return an image; unknown values are null."""
    image, snapshot = facts.image, facts.snapshot
    return {
        "id": image.id,
        "name": image.name,
        "state": image.state,
        "digest": facts.digest,
        "created": image.created.isoformat(),
        "age_seconds": int(facts.age(now).total_seconds()),
        "architecture": image.architecture,
        "environment": facts.environment or None,
        "installer": image.tag(Tag.INSTALLER) or None,
        "python": image.tag(Tag.PYTHON) or None,
        "dask": image.tag(Tag.DASK) or None,
        "distributed": image.tag(Tag.DISTRIBUTED) or None,
        "base": image.tag(Tag.BASE) or None,
        "base_name": image.tag(Tag.BASE_NAME) or None,
        "base_newest": facts.newest_base or None,
        "base_superseded": facts.is_superseded,
        "verified": str(facts.verified) if facts.verified else None,
        "snapshot": image.snapshot_id,
        "bytes": facts.bytes,
        "volume_gib": snapshot.volume_size if snapshot else image.root_size,
        "encrypted": snapshot.encrypted if snapshot else None,
        "in_use_by": list(facts.users),
    }


def whole_document(facts: ImageFacts, settings: ImageSettings, now: datetime) -> dict[str, Any]:
    """Return an image with its settings and its manifest."""
    found = facts.manifest
    return {
        **image_document(facts, now),
        "description": settings.description,
        "deprecation": settings.deprecation.isoformat() if settings.deprecation else None,
        "imdsv2": settings.requires_tokens,
        "shared_with": list(settings.shared_with),
        "manifest": json.loads(manifest.render(found)) if found else None,
    }


def differences_document(before: Image, after: Image, found: Differences) -> dict[str, Any]:
    """Return two images and the differences between them."""
    return {"before": before.id, "after": after.id, **differences_as_data(found)}


def differences_as_data(found: Differences) -> dict[str, Any]:
    """Return differences; an empty ``before`` or ``after`` is null."""
    return {
        "inputs": [_difference(each) for each in found.inputs],
        "files": [_difference(each) for each in found.files],
        "packages": [_difference(each) for each in found.packages],
    }


def prune_document(plan: PrunePlan, *, removed: Sequence[Image] | None) -> dict[str, Any]:
    """Return images to remove and to keep; ``removed`` is null for a dry run."""
    return {
        "removed": None if removed is None else [image.id for image in removed],
        "remove": [_verdict(verdict) for verdict in plan.remove],
        "loose_snapshots": [{"snapshot": each.id, "bytes": each.bytes} for each in plan.loose],
        "keep": [_verdict(verdict) for verdict in plan.keep],
        "bytes": plan.bytes,
    }


def copies_document(plans: Sequence[CopyPlan], copies: Sequence[Image] | None) -> list[dict[str, Any]]:
    """Return each region's copy; its ``image`` is null in a dry run if no copy exists."""
    found = [plan.there for plan in plans] if copies is None else copies
    return [
        {
            "source": plan.source.id,
            "from_region": plan.from_region,
            "region": plan.to_region,
            "step": str(plan.step),
            "carried_out": copies is not None,
            "name": plan.name,
            "image": image.id if image else None,
            "deprecation": plan.deprecation.isoformat() if plan.deprecation else None,
        }
        for plan, image in zip(plans, found, strict=True)
    ]


def share_document(plan: SharePlan, *, carried_out: bool) -> dict[str, Any]:
    """Return the accounts that an image is shared with, or no longer."""
    return {
        "image": plan.image.id,
        "snapshot": plan.image.snapshot_id,
        "stop": plan.stop,
        "accounts": list(plan.accounts),
        "unchanged": list(plan.same),
        "carried_out": carried_out,
    }


def _difference(difference: Difference) -> dict[str, Any]:
    return {key: value or None for key, value in asdict(difference).items()}


def _verdict(verdict: Verdict) -> dict[str, Any]:
    image = verdict.facts.image
    return {
        "id": image.id,
        "name": image.name,
        "snapshot": image.snapshot_id,
        "bytes": verdict.facts.bytes,
        "why": verdict.why,
    }
