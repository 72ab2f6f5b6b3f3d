"""Copy images to other regions: complete and tagged as verified there, or removed again."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from dask_bake.ec2.protocols import ImageApi
from dask_bake.errors import BakeError, CommandInterruptedError, LeftoverError
from dask_bake.events import Notify, Phases
from dask_bake.images.copy_plan import CopyPlan, CopyStep
from dask_bake.models.ec2 import Image

PATIENCE = 3600.0
"""Within a continent AWS takes some minutes for 10 GB; across the world it can be half an hour."""


@dataclass
class _Copying:
    """A copy in progress.

    ``token`` is set once EC2 may have begun it for us, ``image_id`` once EC2 has said so.
    """

    plan: CopyPlan
    edge: ImageApi
    token: str = ""
    image_id: str = ""
    copied: Image | None = None
    error: BakeError | None = None
    left: str = ""


def copy(
    plans: Sequence[CopyPlan],
    edges: Mapping[str, ImageApi],
    *,
    notify: Notify,
    clock: Callable[[], float],
    new_token: Callable[[], str],
) -> tuple[Image, ...]:
    """Carry out the plans: all regions copy at once, and a failure in one does not stop the others.

    Raises:
        BakeError: when a copy failed; nothing of it is left.
        LeftoverError: when something of it is left.
    """
    phases = Phases(notify, clock)
    all_of_them = [_Copying(plan, edges[plan.to_region], copied=_done(plan)) for plan in plans]
    going = [each for each in all_of_them if each.copied is None]
    try:
        for each in going:
            _attempt(each, lambda copying: _begin(copying, new_token()))
        for each in (each for each in going if each.error is None):
            phases.enter(f"copy to {each.plan.to_region}")
            _attempt(each, _finish)
            phases.leave()
    except KeyboardInterrupt as interrupt:
        for each in going:
            if each.copied is None:
                _take_back(each)
        _raise_leftovers(going, "interrupted", interrupt)
        if made := [f"{each.image_id} in {each.plan.to_region}" for each in going if each.copied]:
            raise CommandInterruptedError(
                f"interrupted; finished copies remain: {', '.join(made)}",
                hint="run the same command again to copy the rest",
            ) from interrupt
        raise
    _raise_failures(going)
    return tuple(each.copied for each in all_of_them if each.copied)


def _done(plan: CopyPlan) -> Image | None:
    return plan.there if plan.step is CopyStep.NOTHING else None


def _attempt(copying: _Copying, step: Callable[[_Copying], None]) -> None:
    try:
        step(copying)
    except BakeError as error:
        copying.error = error
        _take_back(copying)


def _begin(copying: _Copying, token: str) -> None:
    if copying.plan.there is not None:
        copying.image_id = copying.plan.there.id
        return
    copying.token = token
    try:
        copying.image_id = _ask(copying)
    except BakeError as error:
        if not error.may_have_happened:
            copying.token = ""
        raise


def _ask(copying: _Copying) -> str:
    """Start the copy and return its id; with the same client token EC2 starts no second one."""
    plan = copying.plan
    return copying.edge.copy(
        plan.source,
        from_region=plan.from_region,
        name=plan.name,
        client_token=copying.token,
        description=plan.description,
        tags=plan.tags,
        snapshot_tags=plan.snapshot_tags,
    )


def _finish(copying: _Copying) -> None:
    """Set on the copy what CopyImage does not copy, and last of all the tag ``verified``."""
    plan, edge = copying.plan, copying.edge
    image = edge.wait_available(copying.image_id, timeout=PATIENCE)
    edge.require_imdsv2(image.id)
    if plan.deprecation is not None:
        edge.deprecate(image.id, plan.deprecation)
    if image.snapshot_id:
        edge.tag([image.snapshot_id], plan.snapshot_tags)
    edge.tag([image.id], (*plan.tags, *plan.verified))
    copying.copied = replace(image, tags=tuple(sorted((*plan.tags, *plan.verified))))


def _take_back(copying: _Copying) -> None:
    """Remove the copy, or record what is left of it."""
    if not copying.token:
        return
    plan = copying.plan
    try:
        copying.image_id = copying.image_id or _ask(copying)
        copy_of_it = replace(plan.source, id=copying.image_id, name=plan.name, snapshot_id=None, tags=())
        copying.edge.remove(copy_of_it)
    except (BakeError, KeyboardInterrupt):
        copying.left = f"{copying.image_id or f'an image named {plan.name}'} in {plan.to_region}"


def _raise_failures(going: Sequence[_Copying]) -> None:
    failed = [(each.plan.to_region, each.error) for each in going if each.error is not None]
    if not failed:
        return
    why = "; ".join(f"no copy in {region}: {error.message}" for region, error in failed)
    _raise_leftovers(going, why, failed[0][1])
    raise BakeError(why, hint=failed[0][1].hint) from failed[0][1]


def _raise_leftovers(going: Sequence[_Copying], why: str, cause: BaseException) -> None:
    left = "; ".join(each.left for each in going if each.left)
    if left:
        raise LeftoverError(
            f"something may be left that costs money: {left}. The reason: {why}",
            hint="dask-bake images prune removes it when it is a day old; aws ec2 deregister-image does now",
        ) from cause
