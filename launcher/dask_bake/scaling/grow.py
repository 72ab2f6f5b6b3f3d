"""Add worker nodes: request them, wait until their workers have registered, or end them again."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from dask_bake.clusters.teardown import SETTLE, TaggedResources, Teardown
from dask_bake.ec2.protocols import HeadConnection, ScaleApi
from dask_bake.errors import BakeError, CapacityError, LeftoverError, NotReadyError, unexpected
from dask_bake.events import Notify, phase_of
from dask_bake.hints import cluster_command
from dask_bake.launch.placement import Candidate
from dask_bake.launch.provision import Provisioner
from dask_bake.launch.readiness import Readiness
from dask_bake.launch.state import LaunchState
from dask_bake.models.cloud import Role
from dask_bake.models.cluster import Cluster, Node
from dask_bake.models.ec2 import InstanceSpec
from dask_bake.models.tags import Tag
from dask_bake.scaling.lock import ScaleLock
from dask_bake.scaling.plan import ScalePlan
from dask_bake.scaling.retirement import Retirement
from dask_bake.scaling.template import GrowthPlan

FAREWELL = 30.0
"""Seconds for workers of nodes that are ended again to pass on what they have."""


class WorkerProvisioner(Provisioner):
    """Attempts to start worker nodes for a head that runs."""

    def _try(self, candidate: Candidate) -> bool:
        return self.head is not None and self._start_workers(candidate, self.head)


@dataclass
class GrowthState(LaunchState):
    """The cluster while nodes are added; it waits for the new ones only.

    Args:
        before: ids of the nodes that were there before, in any state.
    """

    before: frozenset[str] = frozenset()

    @property
    def laggards(self) -> list[Node]:
        """New nodes with a worker process that has not registered."""
        return [node for node in super().laggards if node.id not in self.before]

    def record(self, nodes: tuple[Node, ...]) -> tuple[Node, ...]:
        """Store the current state of the nodes; of those that were there before, only while they are up."""
        super().record(nodes)
        self.nodes = {key: node for key, node in self.nodes.items() if self._counts(node)}
        return nodes

    def _counts(self, node: Node) -> bool:
        return node.is_up or node.role is Role.HEAD or node.id not in self.before

    @property
    def added(self) -> tuple[str, ...]:
        """Ids of the new nodes."""
        return tuple(key for key in self.nodes if key not in self.before)


def grow(
    plan: ScalePlan,
    growth: GrowthPlan,
    cloud: ScaleApi,
    connection: HeadConnection,
    retirement: Retirement | None,
    lock: ScaleLock,
    *,
    notify: Notify,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> Cluster:
    """Add the plan's nodes and return the cluster once their workers have registered; else undo it.

    Raises:
        BakeError: if there are no more nodes than before; the message says why.
        LeftoverError: if new nodes may be left.
    """
    run = _Growing(plan, growth, cloud, retirement, lock, notify, clock, sleep)
    try:
        return run.bring_up(connection)
    except BaseException as error:
        run.undo(error)
        raise


@dataclass
class _Growing:
    """An addition of nodes in progress, with the record that its undoing needs."""

    plan: ScalePlan
    growth: GrowthPlan
    cloud: ScaleApi
    retirement: Retirement | None
    lock: ScaleLock
    notify: Notify
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    state: GrowthState = field(init=False)
    may_have_tagged: bool = False
    leaving: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        cluster = self.plan.cluster
        before = frozenset(node.id for node in (*cluster.nodes, *cluster.gone))
        self.state = GrowthState(self.growth, groups=cluster.groups, before=before)
        self.state.record(cluster.nodes)

    def bring_up(self, connection: HeadConnection) -> Cluster:
        """Start the nodes, and wait for their workers."""
        with phase_of("instances", self.notify, self.clock):
            self.lock.check()
            self.may_have_tagged = True
            self._write(self.plan.wanted, self.growth.first_index + self.plan.add)
            self._start()
        watch = Readiness(
            self.state,
            self.cloud,
            connection,
            self.notify,
            self.clock,
            self.sleep,
            deadline=self.clock() + self.growth.options.timeout,
        )
        watch.show()
        try:
            watch.wait()
        except NotReadyError as error:
            error.hint = "the last lines of that node's console are above; --timeout gives it longer"
            raise
        return self.state.snapshot

    def undo(self, error: BaseException) -> None:
        """End the new nodes, and write the number of nodes as it was.

        Raises:
            LeftoverError: if new nodes may be left.
        """
        if self.state.added or self.state.outcome_unknown:
            with suppress(BakeError, KeyboardInterrupt):  # without it, Dask computes again what they had
                self._pass_work_on()
            try:
                self._teardown().run()
            except LeftoverError as left:
                name, there = self.plan.cluster.name, str(self.plan.there)
                left.hint = f"{cluster_command('scale', name, '--count', there)}, or {left.hint}"
                raise
        with suppress(BakeError):
            if self.retirement is not None and self.leaving:
                self.retirement.forget(self.leaving)
        if self.may_have_tagged:
            with suppress(BakeError):
                self._write(self.plan.cluster.size, None)
        if isinstance(error, Exception) and not isinstance(error, BakeError):
            raise unexpected(error, left="; the cluster has its nodes of before") from error

    def _start(self) -> None:
        head = self.plan.cluster.head
        provisioner = WorkerProvisioner(
            self.growth, self.cloud, self._run, self.notify, groups=(), head_groups=(), head=head
        )
        try:
            provisioner.start()
        except CapacityError as error:
            error.hint = "try again later: the types and zones are those of the launch"
            raise

    def _run(self, spec: InstanceSpec) -> tuple[Node, ...]:
        self.lock.check()
        with self.state.creating():
            return self.state.record(self.cloud.run_instances(spec))

    def _write(self, count: int, next_index: int | None) -> None:
        """Write the wanted number of nodes, and the next number, to the head's tags."""
        head = self.plan.cluster.head
        if head is not None:
            numbers = {Tag.COUNT: count, Tag.NEXT_INDEX: next_index}
            tags = tuple((key, str(number)) for key, number in numbers.items() if number is not None)
            self.cloud.tag([head.id], tags)

    def _pass_work_on(self) -> None:
        """Empty the new nodes that have joined already, for some seconds at most."""
        registered = self.state.registered
        hosts = tuple(
            node.private_address
            for node in self.state.nodes.values()
            if node.id not in self.state.before and registered.get(node.private_address)
        )
        if self.retirement is None or not hosts:
            return
        self.leaving = hosts
        self.retirement.drain(hosts)
        deadline = self.clock() + FAREWELL
        while not self.retirement.look().is_empty and self.clock() < deadline:
            self.sleep(0.2)
        self.retirement.end()

    def _teardown(self) -> Teardown:
        resources = TaggedResources(
            self.cloud, self.plan.cluster.name, self.growth.found_by, known=self.state.added
        )
        settle = SETTLE if self.state.outcome_unknown else 0.0
        return Teardown(resources, self.notify, self.clock, self.sleep, settle=settle)
