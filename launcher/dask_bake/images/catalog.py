"""Images looked up, removed and shared: plans carried out, against a Protocol."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from dask_bake.errors import BakeError, LeftoverError
from dask_bake.events import Note, Notify
from dask_bake.hints import own_command
from dask_bake.images.facts import ImageFacts, family
from dask_bake.images.prune import PrunePlan, plan_prune
from dask_bake.images.share import SharePlan
from dask_bake.models.ec2 import Image, ImageSettings, Snapshot
from dask_bake.models.tags import Tag, Tags


class ImagesEdge(Protocol):
    """What is asked of EC2 for images, in one region."""

    def mine(self) -> tuple[Image, ...]:
        """Every image that dask-bake made, the newest first."""

    def published(self, patterns: Sequence[str]) -> tuple[Image, ...]:
        """Debian's images with such names, the newest first."""

    def snapshots(self, ids: Sequence[str]) -> Mapping[str, Snapshot]:
        """The snapshots of these ids."""

    def tagged_snapshots(self) -> tuple[Snapshot, ...]:
        """Every snapshot that dask-bake made."""

    def users_of(self, image_ids: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
        """Who runs from each of the images."""

    def settings_of(self, image_id: str) -> ImageSettings:
        """What an image has besides."""

    def require_imdsv2(self, image_id: str) -> None:
        """Metadata is answered with a token alone."""

    def deprecate(self, image_id: str, when: datetime) -> None:
        """The image is deprecated from then on."""

    def tag(self, resource_ids: Sequence[str], tags: Tags) -> None:
        """Adds the tags."""

    def remove(self, image: Image) -> None:
        """The image and its snapshots are gone."""

    def remove_snapshot(self, snapshot_id: str) -> None:
        """The snapshot is gone."""

    def copy(
        self,
        image: Image,
        *,
        from_region: str,
        name: str,
        client_token: str,
        description: str,
        tags: Tags,
        snapshot_tags: Tags,
    ) -> str:
        """The id of a copy that has begun."""

    def wait_available(self, image_id: str, *, timeout: float) -> Image:
        """The image, once it is available."""

    def share(self, image: Image, accounts: Sequence[str]) -> None:
        """The accounts can use the image."""

    def unshare(self, image: Image, accounts: Sequence[str]) -> None:
        """The accounts can no longer use the image."""


def look_up(edge: ImagesEdge) -> tuple[ImageFacts, ...]:
    """What is known of every image in the region, the newest first: in four calls, however many there are."""
    images = edge.mine()
    if not images:
        return ()
    snapshots = edge.snapshots([image.snapshot_id for image in images if image.snapshot_id])
    users = edge.users_of([image.id for image in images])
    families = {family(image.tag(Tag.BASE_NAME)) for image in images} - {""}
    newest = _newest(edge.published(sorted(families)))
    return tuple(
        ImageFacts(
            image=image,
            snapshot=snapshots.get(image.snapshot_id or ""),
            users=users.get(image.id, ()),
            newest_base=newest.get(family(image.tag(Tag.BASE_NAME)), ""),
        )
        for image in images
    )


def _newest(images: Sequence[Image]) -> dict[str, str]:
    return {family(image.name): image.name for image in sorted(images, key=lambda each: each.name)}


def look_up_prune(edge: ImagesEdge, *, keep: int, now: datetime) -> PrunePlan:
    """What would be removed now; with whom an image is shared is asked only of those that would go."""
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


def prune(plan: PrunePlan, edge: ImagesEdge, *, notify: Notify) -> tuple[Image, ...]:
    """Removes what the plan says, but for what has come into use since, and returns the images removed.

    Raises:
        LeftoverError: when something could not be removed; all else was.
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


def share(plan: SharePlan, edge: ImagesEdge) -> None:
    """The accounts can use the image, or no longer; for all of them, or for none."""
    if not plan.accounts:
        return
    if plan.stop:
        edge.unshare(plan.image, plan.accounts)
        return
    try:
        edge.share(plan.image, plan.accounts)
    except (BakeError, KeyboardInterrupt) as error:
        try:
            edge.unshare(plan.image, plan.accounts)
        except (BakeError, KeyboardInterrupt):
            named = (word for each in plan.accounts for word in ("--with", each))
            words = ("images", "share", plan.image.id, *named, "--stop")
            why = f"{error.message}; " if isinstance(error, BakeError) else "interrupted; "
            raise BakeError(
                f"{why}{', '.join(plan.accounts)} may have access to {plan.image.id} all the same",
                hint=f"{own_command(*words)} ends that",
            ) from error
        raise
