"""Give a cluster another number of nodes: look, plan, and carry it out under the cluster's lock."""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from dask_bake.clusters.condition import State, condition
from dask_bake.clusters.inventory import find
from dask_bake.clusters.ownership import current_owner
from dask_bake.ec2.protocols import HeadConnection, ScaleApi
from dask_bake.errors import UsageError
from dask_bake.events import ClusterSeen, Notify, ignore
from dask_bake.hints import cluster_command
from dask_bake.models.cloud import Cloud
from dask_bake.models.cluster import Cluster
from dask_bake.models.tags import Tag
from dask_bake.options.values import OF_A_BAKE
from dask_bake.scaling.grow import grow
from dask_bake.scaling.lock import ScaleLock
from dask_bake.scaling.plan import Direction, NodeLoad, ScalePlan, bound, check_wanted, plan_scale
from dask_bake.scaling.retirement import Retirement, SshRetirement
from dask_bake.scaling.shrink import shrink
from dask_bake.scaling.template import GrowthPlan, Source, plan_growth
from dask_bake.ssh.connect import find_node, is_callers, local_keystore, prepare_host
from dask_bake.ssh.head_connection import SshHeadConnection
from dask_bake.ssh.transport import transport_of

TIMEOUT = 300
"""Seconds for new nodes to join."""
LOCK_TIMEOUT = 150.0
"""Seconds to wait for another process that changes the size; one that was killed is waited for less long."""

MakeConnection = Callable[[Cluster, Cloud, ScaleApi], HeadConnection]
MakeRetirement = Callable[[Cluster, Cloud, ScaleApi], Retirement]


@dataclass(frozen=True)
class ScaleResult:
    """A change of size that was carried out, and the cluster as it is now."""

    plan: ScalePlan
    cluster: Cluster
    growth: GrowthPlan | None = None


def ssh_connection(cluster: Cluster, cloud: Cloud, ec2: ScaleApi) -> HeadConnection:
    """Return a connection to the head by which registered workers are counted.

    Raises:
        BakeError: if this machine does not have the cluster's key.
    """
    prepare_host(cluster, find_node(cluster, 0), cloud, ec2)
    return SshHeadConnection(local_keystore(cluster, cloud), transport=transport_of(cluster, cloud))


def ssh_retirement(cluster: Cluster, cloud: Cloud, ec2: ScaleApi) -> Retirement:
    """Return a connection to the scheduler, by a program on the head."""
    return SshRetirement(prepare_host(cluster, find_node(cluster, 0), cloud, ec2), cluster.name)


@dataclass
class Scaling:
    """A change of the size of one cluster.

    Args:
        name: of the cluster; ``None`` for the only one.
        wanted: number of nodes, the head included.
        timeout: seconds for new nodes to join.
        lock_timeout: seconds to wait for another process that changes the size.
        nodes: private addresses of worker nodes to end before others.
        source: a worker node by which new ones are made; without it, one that is there.
        replacement: number of the attempt to replace nodes; 0 for a change of size.
    """

    name: str | None
    wanted: int
    cloud: Cloud
    ec2: ScaleApi
    notify: Notify = ignore
    timeout: int = TIMEOUT
    lock_timeout: float = LOCK_TIMEOUT
    nodes: Collection[str] = ()
    source: Source | None = None
    replacement: int = 0
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    make_connection: MakeConnection = ssh_connection
    make_retirement: MakeRetirement = ssh_retirement
    _retirement: Retirement | None = field(default=None, init=False)

    def find(self) -> Cluster:
        """Return the cluster.

        Raises:
            UsageError: if there is none, or if it has no head to add workers to.
        """
        check_wanted(self.wanted, self.name or "")
        cluster = find(self.ec2, self.cloud, self.name)
        check_can_scale(cluster)
        return cluster

    def look(self) -> ScalePlan:
        """Return the plan, as of now, without changing anything."""
        try:
            return self._plan(self.find())
        finally:
            self._close()

    def growth(self, plan: ScalePlan) -> GrowthPlan | None:
        """Return the plan of the nodes that are to be added; ``None`` if none are."""
        if plan.direction is not Direction.UP:
            return None
        return plan_growth(
            plan, self.ec2, timeout=self.timeout, source=self.source, replacement=self.replacement
        )

    def run(self) -> ScaleResult:
        """Change the size; on a failure the cluster has its old size, or the error names what is left."""
        cluster = self.find()
        if (cluster.size, _count(cluster)) == (self.wanted, self.wanted):
            return ScaleResult(plan_scale(cluster, self.wanted), cluster)
        lock = self._lock(cluster)
        try:
            with lock.held():
                return self._run(self.find(), lock)
        finally:
            self._close()

    def restore(self, launch_id: str, replacement: int) -> ScaleResult | None:
        """Replace worker nodes that have ended, up to the number that the cluster should have.

        That number is read under the lock, so that a change of size or another keeper is never undone.

        Args:
            launch_id: of the cluster that is meant; another one by its name is left alone.
            replacement: number of the attempt.

        Returns:
            The change, or ``None`` if nothing was missing any more.
        """
        lock = self._lock(self.find())
        try:
            with lock.held():
                cluster = self.find()
                self.wanted, self.replacement = cluster.size, replacement
                if cluster.launch_id != launch_id or plan_scale(cluster, cluster.size).add == 0:
                    return None
                return self._run(cluster, lock)
        finally:
            self._close()

    def _lock(self, cluster: Cluster) -> ScaleLock:
        return ScaleLock(
            self.ec2,
            cluster,
            current_owner(self.ec2),
            self.lock_timeout,
            self.notify,
            self.clock,
            self.sleep,
        )

    def _run(self, cluster: Cluster, lock: ScaleLock) -> ScaleResult:
        plan = self._plan(cluster)
        growth = self.growth(plan)
        self.notify(ClusterSeen(cluster))
        if growth is not None:
            connection = self.make_connection(cluster, self.cloud, self.ec2)
            try:
                retirement = self._scheduler(cluster) if cluster.has_dask else None
                grow(
                    plan,
                    growth,
                    self.ec2,
                    connection,
                    retirement,
                    lock,
                    notify=self.notify,
                    clock=self.clock,
                    sleep=self.sleep,
                )
            finally:
                connection.close()
        elif plan.direction is Direction.DOWN:
            retirement = self._scheduler(cluster) if cluster.has_dask else None
            shrink(
                plan,
                self.ec2,
                retirement,
                lock,
                notify=self.notify,
                clock=self.clock,
                sleep=self.sleep,
            )
        elif cluster.size != plan.wanted and cluster.head is not None:
            self.ec2.tag([cluster.head.id], ((Tag.COUNT, str(plan.wanted)),))
        return ScaleResult(plan, find(self.ec2, self.cloud, cluster.name), growth)

    def _plan(self, cluster: Cluster) -> ScalePlan:
        plan = plan_scale(cluster, self.wanted)
        if plan.direction is Direction.DOWN and cluster.has_dask:
            loads = self._loads(cluster)
            plan = plan_scale(cluster, self.wanted, loads, self.nodes)
            if (error := bound(plan.retire, loads)) is not None:
                raise error
        return plan

    def _loads(self, cluster: Cluster) -> Mapping[str, NodeLoad]:
        return self._scheduler(cluster).loads()

    def _scheduler(self, cluster: Cluster) -> Retirement:
        if self._retirement is None:
            self._retirement = self.make_retirement(cluster, self.cloud, self.ec2)
        return self._retirement

    def _close(self) -> None:
        if self._retirement is not None:
            self._retirement.close()
            self._retirement = None


def scale(
    cluster_name: str | None,
    wanted: int,
    *,
    cloud: Cloud,
    ec2: ScaleApi,
    notify: Notify = ignore,
    timeout: int = TIMEOUT,
    lock_timeout: float = LOCK_TIMEOUT,
    allow_foreign: bool = False,
    nodes: Collection[str] = (),
    make_connection: MakeConnection = ssh_connection,
    make_retirement: MakeRetirement = ssh_retirement,
) -> ScaleResult:
    """Give the cluster that many nodes, the head included, and return it as it is then.

    Args:
        allow_foreign: whether the cluster may be somebody else's.
        nodes: private addresses of worker nodes to end before others.

    Raises:
        UsageError: if there is no such cluster, or it is somebody else's, or the number is below two.
        BakeError: if the cluster has its old size.
        LeftoverError: if nodes may be left, which the message names.
    """
    scaling = Scaling(
        cluster_name,
        wanted,
        cloud,
        ec2,
        notify,
        timeout=timeout,
        lock_timeout=lock_timeout,
        nodes=nodes,
        make_connection=make_connection,
        make_retirement=make_retirement,
    )
    if not allow_foreign:
        check_own(scaling.find(), wanted, cloud, ec2)
    return scaling.run()


def check_own(cluster: Cluster, wanted: int, cloud: Cloud, ec2: ScaleApi) -> None:
    """Raise if the cluster is somebody else's."""
    if not is_callers(cluster, cloud, ec2):
        whose = f"belongs to {cluster.owner}" if cluster.owner else "has no known owner"
        raise UsageError(
            f"cluster {cluster.name} {whose}, and is not changed without asking",
            hint=f"{yes_command(cluster, wanted)} changes it all the same",
        )


def yes_command(cluster: Cluster, wanted: int) -> str:
    """Return the command line that changes the size without asking."""
    return cluster_command("scale", cluster.name, "--count", str(wanted), "--yes")


def check_can_scale(cluster: Cluster, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
    """Raise unless the cluster has a head that runs, and its launch is over."""
    its = condition(cluster, now())
    if OF_A_BAKE.fullmatch(cluster.name):
        raise UsageError(f"{cluster.name} is a bake's own cluster", hint="dask-bake ls shows the others")
    head = cluster.head
    if its.state in (State.ENDED, State.FOREIGN, State.STARTING) or head is None or not head.is_up:
        raise UsageError(f"cluster {cluster.name} {its.text or 'has no head node'}", hint=its.hint)
    if head.state != "running":
        raise UsageError(
            f"cluster {cluster.name} is being launched: its head is {head.state}",
            hint=f"{cluster_command('status', cluster.name)} shows it",
        )


def _count(cluster: Cluster) -> int:
    return len([node for node in cluster.known_nodes if node.is_up])
