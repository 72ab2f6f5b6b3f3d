"""Find orphaned resources in several regions at once, and remove them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Protocol

from dask_bake.clusters.orphans import OrphanedLaunch, ReapPlan, merge, plan_reap
from dask_bake.clusters.teardown import TaggedResources, Teardown
from dask_bake.ec2.protocols import ClusterApi
from dask_bake.errors import BakeError, LeftoverError
from dask_bake.events import Notify
from dask_bake.hints import command_line
from dask_bake.models.resources import Resource, ResourceKind
from dask_bake.models.tags import Tag
from dask_bake.system.concurrency import gather

AT_ONCE = 6
"""Regions looked up concurrently; each takes several concurrent requests."""
LISTING_DELAY = 30.0
"""Seconds for which EC2 may still list removed resources."""
PAUSE = 1.0


class ReapApi(ClusterApi, Protocol):
    """The EC2 requests of ``reap`` in one region."""

    def resources(self) -> tuple[Resource, ...]:
        """Return all resources with dask-bake's tag, in any state."""

    def delete_volume(self, volume_id: str) -> None:
        """Delete the volume."""

    def delete_network_interface(self, interface_id: str) -> None:
        """Delete the network interface."""


@dataclass(frozen=True)
class Survey:
    """The orphaned resources found, and the regions that could not be read, each with its error."""

    plan: ReapPlan
    unreadable: Mapping[str, BakeError]


def survey(edges: Mapping[str, ReapApi], now: datetime) -> Survey:
    """Look up the resources that belong to no living cluster in each region."""
    regions = sorted(edges)
    seen: dict[str, tuple[Resource, ...]] = {}
    unreadable: dict[str, BakeError] = {}
    for first in range(0, len(regions), AT_ONCE):
        some = regions[first : first + AT_ONCE]
        for region, answer in zip(some, gather(*(partial(_ask, edges[each]) for each in some)), strict=True):
            if isinstance(answer, BakeError):
                unreadable[region] = answer
            else:
                seen[region] = answer
    plans = [plan_reap(region, resources, now) for region, resources in seen.items()]
    return Survey(merge(plans), unreadable)


def remove(
    found: ReapPlan,
    edges: Mapping[str, ReapApi],
    *,
    notify: Notify,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> None:
    """Remove all orphaned resources; a failure for one does not stop the removal of others, in any region.

    Raises:
        LeftoverError: if something remains, or may remain after an interrupt; it names each resource.
    """
    rest: dict[str, list[Resource]] = {}
    for each in found.orphans:
        rest.setdefault(each.region, []).extend(each.resources)
    reasons: list[str] = []
    try:
        for region in tuple(rest):
            own = [each for each in found.orphans if each.region == region]
            trouble: list[str] = []
            rest[region] = _remove(own, edges[region], trouble, notify, clock, sleep)
            reasons += trouble
    except KeyboardInterrupt as error:
        if not any(rest.values()):
            raise
        raise _left(rest, "interrupted; ", "") from error
    if any(rest.values()):
        reason = "; ".join(dict.fromkeys(reasons)) or "EC2 still lists it"
        raise _left(rest, "", f". The reason: {reason}")


def _left(rest: Mapping[str, Sequence[Resource]], before: str, after: str) -> LeftoverError:
    regions = sorted(region for region, resources in rest.items() if resources)
    named = "; ".join(str(resource) for region in regions for resource in rest[region])
    return LeftoverError(
        f"{before}something may be left that costs money in {', '.join(regions)}: {named}{after}",
        hint=command_line("reap", "--all-regions")
        if len(regions) > 1
        else command_line("reap", region=regions[0]),
    )


def _remove(
    own: Sequence[OrphanedLaunch],
    edge: ReapApi,
    reasons: list[str],
    notify: Notify,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> list[Resource]:
    """Remove the orphaned resources of one region, and return those that may remain."""
    # Terminate all instances first, so that they end while the first teardown waits.
    _try(
        partial(edge.terminate, _ids(own, ResourceKind.INSTANCE)),
        reasons,
        needed=_ids(own, ResourceKind.INSTANCE),
    )
    for each in own:
        _remove_loose(each.resources, edge, reasons)
        tags = {Tag.MANAGED: "true", Tag.LAUNCH: each.launch_id}
        resources = TaggedResources(edge, each.cluster, tags)
        _try(Teardown(resources, notify, clock, sleep).run, reasons)
    left = _until_gone(own, edge, reasons, clock, sleep)
    return [resource for each in own for resource in each.resources] if left is None else left


def _ask(edge: ReapApi) -> tuple[Resource, ...] | BakeError:
    try:
        return edge.resources()
    except BakeError as error:
        return error


def _ids(orphans: Sequence[OrphanedLaunch], kind: ResourceKind) -> list[str]:
    return [resource.id for each in orphans for resource in each.resources if resource.kind is kind]


def _remove_loose(resources: Sequence[Resource], edge: ReapApi, reasons: list[str]) -> None:
    """Delete network interfaces and volumes; a group cannot be deleted before its interfaces."""
    for resource in resources:
        match resource.kind:
            case ResourceKind.INTERFACE:
                _try(partial(edge.delete_network_interface, resource.id), reasons)
            case ResourceKind.VOLUME:
                _try(partial(edge.delete_volume, resource.id), reasons)


def _until_gone(
    orphans: Sequence[OrphanedLaunch],
    edge: ReapApi,
    reasons: list[str],
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> list[Resource] | None:
    """Wait, and return the resources that remain; ``None`` if they cannot be looked up."""
    launches, deadline = {each.launch_id for each in orphans}, clock() + LISTING_DELAY
    while True:
        answer = _ask(edge)
        if isinstance(answer, BakeError):
            reasons.append(answer.message)
            return None
        left = [
            resource
            for resource in answer
            if resource.is_ours and resource.exists and resource.launch_id in launches
        ]
        if not left or reasons or clock() >= deadline:
            return left
        # A terminated instance may have left its volume behind.
        _remove_loose(left, edge, reasons)
        sleep(PAUSE)


def _try(act: Callable[[], None], reasons: list[str], *, needed: object = True) -> None:
    if not needed:
        return
    try:
        act()
    except BakeError as error:
        if isinstance(error.__cause__, KeyboardInterrupt):
            # The teardown was interrupted: its error names what remains, and no other removal is started.
            raise KeyboardInterrupt from error
        reasons.append(error.message)
