"""Head and workers asked for, place after place, until EC2 has room for all in one zone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from dask_bake.ec2.protocols import CloudEdge
from dask_bake.errors import CapacityError, QuotaError
from dask_bake.events import Note, Notify
from dask_bake.launch.placement import Place
from dask_bake.launch.plan import LaunchPlan
from dask_bake.launch.quotas import quota_code
from dask_bake.models.cloud import Market, Role
from dask_bake.models.cluster import Node
from dask_bake.models.ec2 import InstanceSpec, InstanceType


@dataclass(frozen=True)
class Refused:
    """A request that EC2 had no room for."""

    instance_type: str
    zone: str
    market: Market
    error: CapacityError

    def __str__(self) -> str:
        spot = " on spot" if self.market is Market.SPOT else ""
        return f"{self.instance_type}{spot} in {self.zone} ({self.error.code})"


@dataclass
class Starting:
    """One attempt after the other; ``abandoned`` are heads that stood where there was no room for workers.

    Args:
        run: carries out a request, and remembers what came of it.
        groups: the ids of the groups of the nodes, and of those that are the head's alone.
        spent: the quotas, by role, that are too small: what counts against them is not asked for again.
        too_small: what EC2 said of the last of them.
        head: that of the place that was tried last, if there was room for it.
        ahead: the places that were not tried yet.
    """

    plan: LaunchPlan
    cloud: CloudEdge
    run: Callable[[InstanceSpec], tuple[Node, ...]]
    notify: Notify
    groups: tuple[str, ...]
    head_groups: tuple[str, ...]
    refused: list[Refused] = field(default_factory=list)
    abandoned: set[str] = field(default_factory=set)
    spent: set[tuple[Role, Market, str]] = field(default_factory=set)
    too_small: QuotaError | None = None
    head: Node | None = None
    ahead: list[Place] = field(init=False)

    def __post_init__(self) -> None:
        self.ahead = list(self.plan.places)

    def start(self) -> None:
        """Returns when EC2 has taken both requests.

        Raises:
            CapacityError: when no place has room; the message names each that was tried.
            QuotaError: when the account may not have so many of any type: no other zone changes that.
        """
        while self.ahead:
            place = self.ahead.pop(0)
            try:
                if self._start_in(place):
                    return
            except QuotaError as error:
                self.ahead = [each for each in self.ahead if each.market is not place.market]
                if self.head is None or not self.ahead:
                    raise
                # The quota of spot instances is another than that of those on demand: the head can stay.
                self.notify(Note(f"No spot instances: {error.message}."))
                self.ahead.sort(key=lambda each: each.subnet != place.subnet)
                continue
            if self.refused:
                self.ahead = recommended_first(self.ahead, self.refused[-1].error.zones)
        if self.too_small is not None and not self.refused:
            raise self.too_small
        raise self._no_room()

    def _start_in(self, place: Place) -> bool:
        if self.head is not None and self.head.zone != place.subnet.zone:
            self._abandon(self.head)
        if self.head is None:
            self.head = self._start_head(place)
        return self.head is not None and self._start_workers(place, self.head)

    def _start_head(self, place: Place) -> Node | None:
        def spec(kind: InstanceType) -> InstanceSpec:
            return self.plan.head(place, kind, (*self.groups, *self.head_groups))

        nodes = self._first(place, place.head_types, spec, Market.ON_DEMAND)
        return nodes[0] if nodes else None

    def _start_workers(self, place: Place, head: Node) -> bool:
        def spec(kind: InstanceType) -> InstanceSpec:
            return self.plan.workers(place, kind, head.private_address, self.groups)

        wanted = self.plan.options.count - 1
        nodes = self._first(place, place.worker_types, spec, place.market)
        if nodes and len(nodes) < wanted:
            had = f"AWS had room for {len(nodes)} of {wanted} worker nodes"
            self.notify(Note(f"{had}, which --min-workers takes for enough."))
        return bool(nodes)

    def _first(
        self,
        place: Place,
        kinds: Sequence[InstanceType],
        spec: Callable[[InstanceType], InstanceSpec],
        market: Market,
    ) -> tuple[Node, ...]:
        requests = [spec(kind) for kind in kinds]
        for request, kind in zip(requests, kinds, strict=True):
            if _quota(request) in self.spent:
                continue
            try:
                return self.run(request)
            except CapacityError as error:
                self.refused.append(Refused(request.instance_type, place.subnet.zone, market, error))
                self.notify(Note(f"No room for {self.refused[-1]}."))
            except QuotaError as error:
                self.spent.add(_quota(request))
                self.too_small = _told_with(request, kind, error)
                if self.spent.issuperset(map(_quota, requests)):
                    raise self.too_small from error
                self.notify(Note(f"No {request.instance_type}: {error.message}."))
        return ()

    def _abandon(self, head: Node) -> None:
        self.head = None
        self.abandoned.add(head.id)
        self.cloud.terminate([head.id])

    def _no_room(self) -> CapacityError:
        last = self.refused[-1].error
        zones = tuple(dict.fromkeys(zone for each in self.refused for zone in each.error.zones))
        tried = "; ".join(dict.fromkeys(map(str, self.refused)))
        room = f"; EC2 says that there is room in {', '.join(zones)}" if zones else ""
        hints = []
        if untried := [zone for zone in zones if zone not in {each.zone for each in self.refused}]:
            hints.append(f"--zone {','.join(untried)} tries there")
        if (
            any(each.market is Market.SPOT for each in self.refused)
            and not self.plan.options.spot_with_fallback
        ):
            hints.append("--spot-with-fallback takes on-demand instances where there is no spot capacity")
        if self.plan.options.min_workers is None and self.plan.options.count > 2:
            hints.append("--min-workers takes what there is")
        hints.append("--type takes several types, such as m6i.2xlarge,m5.2xlarge")
        return CapacityError(
            f"AWS has no room for this now: {tried}{room}", hint="; ".join(hints), code=last.code, zones=zones
        )


def _quota(request: InstanceSpec) -> tuple[Role, Market, str]:
    """What the request counts against: of a type whose quota is not known, the type itself."""
    code = quota_code(request.instance_type, request.market)
    return request.role, request.market, code or request.instance_type


def _told_with(request: InstanceSpec, kind: InstanceType, error: QuotaError) -> QuotaError:
    """The error, with what was asked for where, and the code under which AWS keeps the quota."""
    spot = " on spot" if request.market is Market.SPOT else ""
    code = quota_code(kind.name, request.market)
    of_quota = f" of the quota {code}" if code else ""
    return QuotaError(
        f"{error.message}; {request.count} {kind.name}{spot} in {request.subnet.zone} are"
        f" {request.count * kind.vcpus} vCPUs{of_quota}",
        hint=error.hint,
    )


def recommended_first(places: Sequence[Place], zones: Sequence[str]) -> list[Place]:
    """The places in their order, but of each market those first that EC2 says have room."""
    order = list(dict.fromkeys(place.market for place in places))
    return sorted(places, key=lambda place: (order.index(place.market), place.subnet.zone not in zones))
