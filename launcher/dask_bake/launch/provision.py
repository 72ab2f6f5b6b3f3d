"""Requests for head and workers, candidate by candidate, until a zone has capacity for all of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from dask_bake.ec2.protocols import ClusterApi
from dask_bake.errors import CapacityError, QuotaError
from dask_bake.events import Note, Notify
from dask_bake.launch.placement import Candidate
from dask_bake.launch.plan import LaunchPlan
from dask_bake.launch.quotas import quota_code
from dask_bake.models.cloud import Market, Role
from dask_bake.models.cluster import Node
from dask_bake.models.ec2 import InstanceSpec, InstanceType


@dataclass(frozen=True)
class CapacityFailure:
    """A request for which EC2 had no capacity."""

    instance_type: str
    zone: str
    market: Market
    error: CapacityError

    def __str__(self) -> str:
        spot = " on spot" if self.market is Market.SPOT else ""
        return f"{self.instance_type}{spot} in {self.zone} ({self.error.code})"


@dataclass
class Provisioner:
    """Attempts to start a cluster's nodes.

    Args:
        run: sends a request, and records the nodes that it returns.
        groups: ids of the security groups of all nodes.
        head_groups: ids of the security groups of the head only.
        abandoned: heads that were terminated because their zone had no capacity for workers.
        exhausted_quotas: quotas, by role, that are too small; requests that count against them are skipped.
        quota_error: EC2's error for the last of these quotas.
        head: the head of the candidate that was tried last, if there was capacity for it.
        remaining: candidates that have not been tried.
    """

    plan: LaunchPlan
    cloud: ClusterApi
    run: Callable[[InstanceSpec], tuple[Node, ...]]
    notify: Notify
    groups: tuple[str, ...]
    head_groups: tuple[str, ...]
    failures: list[CapacityFailure] = field(default_factory=list)
    abandoned: set[str] = field(default_factory=set)
    exhausted_quotas: set[tuple[Role, Market, str]] = field(default_factory=set)
    quota_error: QuotaError | None = None
    head: Node | None = None
    remaining: list[Candidate] = field(init=False)

    def __post_init__(self) -> None:
        self.remaining = list(self.plan.candidates)

    def start(self) -> None:
        """Start head and workers with the first candidate that has capacity for both.

        Raises:
            CapacityError: if no candidate has capacity; the message names each that was tried.
            QuotaError: if the account's quotas are too small for every type, in all zones of the region.
        """
        while self.remaining:
            candidate = self.remaining.pop(0)
            try:
                if self._try(candidate):
                    return
            except QuotaError as error:
                self.remaining = [each for each in self.remaining if each.market is not candidate.market]
                if self.head is None or not self.remaining:
                    raise
                # Spot and on-demand instances have separate quotas: the head stays.
                self.notify(Note(f"No spot instances: {error.message}."))
                self.remaining.sort(key=lambda each: each.subnet != candidate.subnet)
                continue
            if self.failures:
                self.remaining = recommended_first(self.remaining, self.failures[-1].error.zones)
        if self.quota_error is not None and not self.failures:
            raise self.quota_error
        raise self._capacity_error()

    def _try(self, candidate: Candidate) -> bool:
        if self.head is not None and self.head.zone != candidate.subnet.zone:
            self._abandon(self.head)
        if self.head is None:
            self.head = self._start_head(candidate)
        return self.head is not None and self._start_workers(candidate, self.head)

    def _start_head(self, candidate: Candidate) -> Node | None:
        def spec(kind: InstanceType) -> InstanceSpec:
            return self.plan.head(candidate, kind, (*self.groups, *self.head_groups))

        nodes = self._run_first(candidate, candidate.head_types, spec, Market.ON_DEMAND)
        return nodes[0] if nodes else None

    def _start_workers(self, candidate: Candidate, head: Node) -> bool:
        def spec(kind: InstanceType) -> InstanceSpec:
            return self.plan.workers(candidate, kind, head.private_address, self.groups)

        wanted = self.plan.options.count - 1
        nodes = self._run_first(candidate, candidate.worker_types, spec, candidate.market)
        if nodes and len(nodes) < wanted:
            had = f"AWS had capacity for {len(nodes)} of {wanted} worker nodes"
            self.notify(Note(f"{had}, which is enough for --min-workers."))
        return bool(nodes)

    def _run_first(
        self,
        candidate: Candidate,
        kinds: Sequence[InstanceType],
        spec: Callable[[InstanceType], InstanceSpec],
        market: Market,
    ) -> tuple[Node, ...]:
        requests = [spec(kind) for kind in kinds]
        for request, kind in zip(requests, kinds, strict=True):
            if _quota_of(request) in self.exhausted_quotas:
                continue
            try:
                return self.run(request)
            except CapacityError as error:
                self.failures.append(
                    CapacityFailure(request.instance_type, candidate.subnet.zone, market, error)
                )
                self.notify(Note(f"No capacity for {self.failures[-1]}."))
            except QuotaError as error:
                self.exhausted_quotas.add(_quota_of(request))
                self.quota_error = _with_request(request, kind, error)
                if self.exhausted_quotas.issuperset(map(_quota_of, requests)):
                    raise self.quota_error from error
                self.notify(Note(f"No {request.instance_type}: {error.message}."))
        return ()

    def _abandon(self, head: Node) -> None:
        self.head = None
        self.abandoned.add(head.id)
        self.cloud.terminate([head.id])

    def _capacity_error(self) -> CapacityError:
        last = self.failures[-1].error
        zones = tuple(dict.fromkeys(zone for each in self.failures for zone in each.error.zones))
        tried = "; ".join(dict.fromkeys(map(str, self.failures)))
        room = f"; EC2 reports capacity in {', '.join(zones)}" if zones else ""
        hints = []
        if untried := [zone for zone in zones if zone not in {each.zone for each in self.failures}]:
            hints.append(f"add --zone {','.join(untried)}")
        if (
            any(each.market is Market.SPOT for each in self.failures)
            and not self.plan.options.spot_with_fallback
        ):
            hints.append("--spot-with-fallback uses On-Demand Instances where there is no Spot capacity")
        if self.plan.options.min_workers is None and self.plan.options.count > 2:
            hints.append("--min-workers accepts fewer workers")
        hints.append("--type takes several types, such as m6i.2xlarge,m5.2xlarge")
        return CapacityError(
            f"AWS lacks capacity for this request: {tried}{room}",
            hint="; ".join(hints),
            code=last.code,
            zones=zones,
        )


def _quota_of(request: InstanceSpec) -> tuple[Role, Market, str]:
    """Return role, market and quota code of the request; the type instead of an unknown code."""
    code = quota_code(request.instance_type, request.market)
    return request.role, request.market, code or request.instance_type


def _with_request(request: InstanceSpec, kind: InstanceType, error: QuotaError) -> QuotaError:
    """Return the error with the request and the quota code added."""
    spot = " on spot" if request.market is Market.SPOT else ""
    code = quota_code(kind.name, request.market)
    of_quota = f" of the quota {code}" if code else ""
    return QuotaError(
        f"{error.message}; {request.count} {kind.name}{spot} in {request.subnet.zone} are"
        f" {request.count * kind.vcpus} vCPUs{of_quota}",
        hint=error.hint,
    )


def recommended_first(candidates: Sequence[Candidate], zones: Sequence[str]) -> list[Candidate]:
    """Return the candidates, with the zones that EC2 recommends first in each market."""
    order = list(dict.fromkeys(candidate.market for candidate in candidates))
    return sorted(
        candidates, key=lambda candidate: (order.index(candidate.market), candidate.subnet.zone not in zones)
    )
