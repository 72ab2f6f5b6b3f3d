"""What belongs to no living cluster: looked for in many regions at once, and removed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Protocol

from dask_bake.clusters import orphans as reaping
from dask_bake.clusters.orphans import Reaping, Remains, plan_reaping
from dask_bake.clusters.teardown import TaggedResources, Teardown
from dask_bake.ec2.protocols import ClusterApi
from dask_bake.errors import BakeError, LeftoverError
from dask_bake.events import Notify
from dask_bake.hints import command_line
from dask_bake.models.resources import Resource, ResourceKind
from dask_bake.models.tags import Tag
from dask_bake.system.concurrency import gather

AT_ONCE = 6
"""Regions that are looked at at the same time; each takes some questions at once."""
LOOKING = 30.0
"""Seconds for which what was removed may still be shown."""
PAUSE = 1.0


class ReapApi(ClusterApi, Protocol):
    """EC2 in one region, for whoever removes what was left there."""

    def resources(self) -> tuple[Resource, ...]:
        """All that is tagged as dask-bake's, in whatever state."""

    def delete_volume(self, volume_id: str) -> None:
        """The volume is no more."""

    def delete_network_interface(self, interface_id: str) -> None:
        """The network interface is no more."""


@dataclass(frozen=True)
class Look:
    """What was found, and which regions did not let themselves be looked at, each with the reason."""

    reaping: Reaping
    unseen: Mapping[str, BakeError]


def look(edges: Mapping[str, ReapApi], now: datetime) -> Look:
    """What belongs to no living cluster, region by region."""
    regions = sorted(edges)
    seen: dict[str, tuple[Resource, ...]] = {}
    unseen: dict[str, BakeError] = {}
    for first in range(0, len(regions), AT_ONCE):
        some = regions[first : first + AT_ONCE]
        for region, told in zip(some, gather(*(partial(_ask, edges[each]) for each in some)), strict=True):
            if isinstance(told, BakeError):
                unseen[region] = told
            else:
                seen[region] = told
    found = [plan_reaping(region, resources, now) for region, resources in seen.items()]
    return Look(reaping.together(found), unseen)


def remove(
    found: Reaping,
    edges: Mapping[str, ReapApi],
    *,
    notify: Notify,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> None:
    """Removes all of it; one resource that does not go keeps nothing else, in no region.

    Raises:
        LeftoverError: when something is still there, or after an interrupt may be; it names each resource.
    """
    rest: dict[str, list[Resource]] = {}
    for each in found.remains:
        rest.setdefault(each.region, []).extend(each.resources)
    reasons: list[str] = []
    try:
        for region in tuple(rest):
            own = [each for each in found.remains if each.region == region]
            trouble: list[str] = []
            rest[region] = _remove(own, edges[region], trouble, notify, clock, sleep)
            reasons += trouble
    except KeyboardInterrupt as error:
        if not any(rest.values()):
            raise
        raise _left(rest, "interrupted; ", "") from error
    if any(rest.values()):
        reason = "; ".join(dict.fromkeys(reasons)) or "it is still shown"
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
    own: Sequence[Remains],
    edge: ReapApi,
    reasons: list[str],
    notify: Notify,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> list[Resource]:
    """Removes what is left in one region; what may still be there in the end."""
    # All at once: they end while the first is waited for.
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


def _ids(remains: Sequence[Remains], kind: ResourceKind) -> list[str]:
    return [resource.id for each in remains for resource in each.resources if resource.kind is kind]


def _remove_loose(resources: Sequence[Resource], edge: ReapApi, reasons: list[str]) -> None:
    """A group cannot go before the interfaces in it have gone."""
    for resource in resources:
        match resource.kind:
            case ResourceKind.INTERFACE:
                _try(partial(edge.delete_network_interface, resource.id), reasons)
            case ResourceKind.VOLUME:
                _try(partial(edge.delete_volume, resource.id), reasons)


def _until_gone(
    remains: Sequence[Remains],
    edge: ReapApi,
    reasons: list[str],
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> list[Resource] | None:
    """What is still there in the end; ``None`` when that cannot be said."""
    launches, deadline = {each.launch_id for each in remains}, clock() + LOOKING
    while True:
        told = _ask(edge)
        if isinstance(told, BakeError):
            reasons.append(told.message)
            return None
        left = [
            resource
            for resource in told
            if resource.is_ours and resource.exists and resource.launch_id in launches
        ]
        if not left or reasons or clock() >= deadline:
            return left
        # An instance may have left its disk behind.
        _remove_loose(left, edge, reasons)
        sleep(PAUSE)


def _try(act: Callable[[], None], reasons: list[str], *, needed: object = True) -> None:
    if not needed:
        return
    try:
        act()
    except BakeError as error:
        if isinstance(error.__cause__, KeyboardInterrupt):
            # A removal says what it leaves; nothing else is begun then.
            raise KeyboardInterrupt from error
        reasons.append(error.message)
