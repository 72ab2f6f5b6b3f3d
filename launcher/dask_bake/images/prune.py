"""Remove old images: a plan that can be shown, and a function that carries it out."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from dask_bake.ec2.protocols import ImageApi
from dask_bake.errors import BakeError, LeftoverError, UsageError
from dask_bake.events import Note, Notify
from dask_bake.images.catalog import look_up
from dask_bake.images.facts import ImageFacts
from dask_bake.models.ec2 import Image, Snapshot
from dask_bake.models.tags import Verified

GRACE = timedelta(hours=24)
"""Maximum duration of a bake or a copy; after it, an unfinished image counts as abandoned."""


@dataclass(frozen=True)
class Verdict:
    """An image, and the reason why it is kept or removed."""

    facts: ImageFacts
    why: str


@dataclass(frozen=True)
class PrunePlan:
    """The images to keep, the images to remove with their snapshots, and snapshots without an image."""

    keep: tuple[Verdict, ...] = ()
    remove: tuple[Verdict, ...] = ()
    loose: tuple[Snapshot, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.remove or self.loose)

    @property
    def bytes(self) -> int:
        """The storage that the removal frees, as far as EC2 says."""
        sizes = [verdict.facts.bytes for verdict in self.remove] + [each.bytes for each in self.loose]
        return sum(size or 0 for size in sizes)


def check_keep(keep: int) -> int:
    """Check ``--keep`` and return it."""
    if keep < 1:
        raise UsageError(
            f"--keep must be at least 1, not {keep}",
            hint="--keep 2 keeps the newest two images of each environment",
        )
    return keep


def plan_prune(
    facts: Sequence[ImageFacts], *, keep: int, now: datetime, snapshots: Sequence[Snapshot] = ()
) -> PrunePlan:
    """Plan to keep the newest ready images of each kind, and images that may be in use or in progress.

    ``facts`` are sorted, the newest first; ``snapshots`` are all that dask-bake tagged.
    """
    ranks: Counter[tuple[str, str, str]] = Counter()
    checked: set[tuple[str, str, str]] = set()
    kept, removed = [], []
    for each in facts:
        rank = ranks[each.kind]
        ranks[each.kind] += each.is_ready
        is_newest_checked = each.is_ready and each.verified is Verified.YES and each.kind not in checked
        if is_newest_checked:
            checked.add(each.kind)
        if why := _why_keep(each, rank=rank, keep=keep, is_newest_checked=is_newest_checked, now=now):
            kept.append(Verdict(each, why))
        else:
            removed.append(Verdict(each, _why_remove(each, keep)))
    return PrunePlan(tuple(kept), tuple(removed), _loose(facts, snapshots, now))


def plan_removal(facts: Sequence[ImageFacts]) -> PrunePlan:
    """Plan to remove just these images.

    Raises:
        UsageError: when one of them is in use.
    """
    for each in facts:
        if each.users:
            raise UsageError(
                f"{each.image.id} is in use by {', '.join(each.users)}",
                hint="dask-bake down ends a cluster; its image can be removed then",
            )
    unique = {each.image.id: each for each in facts}
    return PrunePlan(remove=tuple(Verdict(each, "requested") for each in unique.values()))


def _why_keep(
    facts: ImageFacts, *, rank: int, keep: int, is_newest_checked: bool, now: datetime
) -> str | None:
    if facts.users:
        return f"in use by {', '.join(facts.users)}"
    if facts.shared_with:
        return f"shared with {', '.join(facts.shared_with)}"
    if facts.is_ready and rank < keep:
        return "the newest" if rank == 0 else f"one of the newest {keep}"
    if is_newest_checked:
        return "the newest verified one"
    if facts.image.state == "disabled":
        return "disabled"
    if not facts.is_ready and facts.age(now) < GRACE:
        return "not verified: it may still be in progress"
    return None


def _why_remove(facts: ImageFacts, keep: int) -> str:
    if facts.is_ready:
        return "not the newest" if keep == 1 else f"not one of the newest {keep}"
    if facts.image.state != "available":
        return f"{facts.image.state} for more than 24 h"
    return "not verified for more than 24 h"


def _loose(facts: Sequence[ImageFacts], snapshots: Sequence[Snapshot], now: datetime) -> tuple[Snapshot, ...]:
    used = {each.image.snapshot_id for each in facts}
    return tuple(each for each in snapshots if each.id not in used and now - each.started >= GRACE)


def look_up_prune(edge: ImageApi, *, keep: int, now: datetime) -> PrunePlan:
    """Plan a prune; look up only for the images to be removed with whom they are shared."""
    facts = look_up(edge)
    snapshots = edge.tagged_snapshots()
    remove = plan_prune(facts, keep=keep, now=now, snapshots=snapshots).remove
    shared = {
        each.facts.image.id: edge.settings_of(each.facts.image.id).shared_with
        for each in remove
        if each.facts.is_ready
    }
    facts = tuple(replace(each, shared_with=shared.get(each.image.id, ())) for each in facts)
    return plan_prune(facts, keep=keep, now=now, snapshots=snapshots)


def prune(plan: PrunePlan, edge: ImageApi, *, notify: Notify) -> tuple[Image, ...]:
    """Remove what the plan says, except images that are in use since; return the removed images.

    Raises:
        LeftoverError: if something could not be removed; everything else was.
    """
    users = edge.users_of([verdict.facts.image.id for verdict in plan.remove]) if plan.remove else {}
    removed, failed = [], []
    interrupt: KeyboardInterrupt | None = None
    for image in (verdict.facts.image for verdict in plan.remove):
        if used := users.get(image.id):
            notify(Note(f"{image.id} stays: it has come into use by {', '.join(used)}."))
            continue
        try:
            edge.remove(image)
            removed.append(image)
        except BakeError as error:
            failed.append(_named(image, error))
        except KeyboardInterrupt as error:
            interrupt = error
            # Half a removal would leave a snapshot that nothing names: this image is still removed whole.
            try:
                edge.remove(image)
            except (BakeError, KeyboardInterrupt) as again:
                failed.append(_named(image, again))
            break
    for snapshot in plan.loose if interrupt is None else ():
        try:
            edge.remove_snapshot(snapshot.id)
        except BakeError as error:
            failed.append(f"snapshot {snapshot.id}: {error.message}")
    if failed:
        raise LeftoverError(
            f"something could not be removed: {'; '.join(failed)}",
            hint="dask-bake images shows what is there; dask-bake images remove tries again",
        )
    if interrupt is not None:
        raise interrupt
    return tuple(removed)


def _named(image: Image, error: BaseException) -> str:
    return f"image {image.id} or its snapshot {image.snapshot_id}: {str(error) or 'interrupted'}"
