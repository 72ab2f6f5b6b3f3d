"""Decide which tagged resources are orphaned; those of a recent launch are kept."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from dask_bake.models.resources import GRACE_PERIOD, Resource, ResourceKind
from dask_bake.options.values import OF_A_BAKE

BAKING = timedelta(hours=6)
"""Maximum age of a bake's instance: each step ends within an hour, unless ``--timeout`` is longer."""
PROOF = "-proof"


@dataclass(frozen=True)
class OrphanedLaunch:
    """The resources left by one launch or one bake; ``silent_since`` is the time of its last activity."""

    region: str
    cluster: str
    launch_id: str
    silent_since: datetime
    resources: tuple[Resource, ...]


@dataclass(frozen=True)
class Skipped:
    """A launch without a head whose resources are kept, and the reason."""

    region: str
    cluster: str
    why: str


@dataclass(frozen=True)
class ReapPlan:
    """The launches whose resources are to be removed, and those without a head that are kept."""

    orphans: tuple[OrphanedLaunch, ...] = ()
    skipped: tuple[Skipped, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.orphans)


def plan_reap(region: str, resources: Iterable[Resource], now: datetime) -> ReapPlan:
    """Return which of a region's resources belong to no living cluster.

    Each launch is judged on its own: a later launch of the same name does not keep its resources.
    """
    ours = [resource for resource in resources if resource.is_ours]
    orphans: list[OrphanedLaunch] = []
    skipped: list[Skipped] = []
    for cluster, launch_id in sorted({(resource.cluster, resource.launch_id) for resource in ours}):
        own = [
            resource for resource in ours if (resource.cluster, resource.launch_id) == (cluster, launch_id)
        ]
        left = tuple(sorted((resource for resource in own if resource.exists), key=_order))
        kin = (
            [resource for resource in ours if _bake(resource.cluster) == _bake(cluster)]
            if _bake(cluster)
            else own
        )
        if not left or _is_alive(kin, now):
            continue
        match _silent_since(kin):
            case None:
                skipped.append(Skipped(region, cluster, "its age is unknown"))
            case since if now - since < GRACE_PERIOD:
                skipped.append(Skipped(region, cluster, "it may be starting or ending"))
            case since:
                orphans.append(OrphanedLaunch(region, cluster, launch_id, since, left))
    return ReapPlan(tuple(orphans), tuple(skipped))


def left_by(found: ReapPlan, cluster: str, launch_id: str | None) -> ReapPlan:
    """Return the part of one launch; without its id, of every launch of that cluster's name."""
    return ReapPlan(
        tuple(
            each for each in found.orphans if each.cluster == cluster and launch_id in (None, each.launch_id)
        ),
        tuple(each for each in found.skipped if each.cluster == cluster),
    )


def merge(plans: Sequence[ReapPlan]) -> ReapPlan:
    """Merge the plans of several regions."""
    return ReapPlan(
        tuple(each for one in plans for each in one.orphans),
        tuple(each for one in plans for each in one.skipped),
    )


def _is_alive(resources: Sequence[Resource], now: datetime) -> bool:
    instances = [
        resource for resource in resources if resource.kind is ResourceKind.INSTANCE and resource.exists
    ]
    if any(_bake(resource.cluster) for resource in resources):
        return any(resource.created is not None and now - resource.created < BAKING for resource in instances)
    return any(resource.is_head for resource in instances)


def _silent_since(resources: Sequence[Resource]) -> datetime | None:
    return max((sign for resource in resources for sign in resource.activity), default=None)


def _bake(cluster: str) -> str:
    """Return the bake's name if this is the name of a bake or of its verification cluster, else ""."""
    return cluster.removesuffix(PROOF) if OF_A_BAKE.fullmatch(cluster) else ""


def _order(resource: Resource) -> tuple[int, bool, str, str]:
    return list(ResourceKind).index(resource.kind), not resource.is_head, resource.name, resource.id
