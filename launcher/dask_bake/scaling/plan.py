"""Plan of a change of size: what is there and what is wanted, and from it the nodes to add or to end."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from dask_bake.errors import UsageError
from dask_bake.hints import cluster_command
from dask_bake.models.cluster import Cluster, Node

LEAST = 2
"""A head and one worker node."""


class Direction(StrEnum):
    """The way in which a cluster's size changes."""

    UP = "up"
    DOWN = "down"
    SAME = "same"


@dataclass(frozen=True)
class NodeLoad:
    """The load of a worker node, as the scheduler counts it.

    Args:
        workers: number of registered worker processes.
        tasks: number of tasks that it has been given and has not finished.
        occupancy: seconds of work that the scheduler expects there.
        nbytes: bytes of results that it holds.
        holds: why it cannot leave, such as an actor; "" if it can.
    """

    workers: int = 0
    tasks: int = 0
    occupancy: float = 0.0
    nbytes: int = 0
    holds: str = ""

    @property
    def rank(self) -> tuple[bool, bool, float, int]:
        """The order in which nodes leave: the one with the least to lose first."""
        return bool(self.holds), bool(self.tasks), self.occupancy, self.nbytes


NO_LOAD = NodeLoad()


@dataclass(frozen=True)
class ScalePlan:
    """Plan of a change of size; ``--dry-run`` shows the same plan that is carried out.

    Args:
        wanted: number of nodes, the head included.
        add: number of worker nodes to start.
        first_index: number of the first of them.
        retire: worker nodes to end, the least loaded first.
    """

    cluster: Cluster
    wanted: int
    add: int = 0
    first_index: int = 0
    retire: tuple[Node, ...] = ()

    @property
    def direction(self) -> Direction:
        """The way in which the number of nodes changes."""
        return Direction.UP if self.add else Direction.DOWN if self.retire else Direction.SAME

    @property
    def there(self) -> int:
        """Number of nodes that are up, the head included."""
        return 1 + len(live_workers(self.cluster))

    @property
    def added_indices(self) -> tuple[int, ...]:
        """Numbers of the nodes to start."""
        return tuple(range(self.first_index, self.first_index + self.add))


def check_wanted(wanted: int, cluster: str) -> None:
    """Raise unless that number of nodes is a head and at least one worker node."""
    if wanted < LEAST:
        down = f"; {cluster_command('down', cluster)} ends the cluster" if cluster else ""
        raise UsageError(
            f"--count must be at least {LEAST}, not {wanted}",
            hint=f"it includes the head node: --count {LEAST} is a head and one worker node{down}",
        )


def live_workers(cluster: Cluster) -> tuple[Node, ...]:
    """Return the worker nodes that are up."""
    return tuple(node for node in cluster.workers if node.is_up)


def plan_scale(
    cluster: Cluster,
    wanted: int,
    loads: Mapping[str, NodeLoad] | None = None,
    first: Collection[str] = (),
) -> ScalePlan:
    """Return the plan that gives the cluster that many nodes.

    Args:
        loads: load of each worker node by its private address; without it, of the nodes to end only the
            number is right.
        first: private addresses of nodes to end before others.
    """
    check_wanted(wanted, cluster.name)
    workers = live_workers(cluster)
    missing = wanted - 1 - len(workers)
    if missing > 0:
        return ScalePlan(cluster, wanted, add=missing, first_index=cluster.next_index)
    return ScalePlan(cluster, wanted, retire=least_loaded(workers, -missing, loads or {}, first))


def least_loaded(
    workers: Sequence[Node], count: int, loads: Mapping[str, NodeLoad], first: Collection[str] = ()
) -> tuple[Node, ...]:
    """Return so many of the nodes with the least to lose; of equal ones those with the highest numbers."""

    def rank(node: Node) -> tuple[object, ...]:
        load = loads.get(node.private_address, NO_LOAD)
        return node.private_address not in first, load.rank, -node.index

    return tuple(sorted(workers, key=rank)[:count])


def bound(nodes: Sequence[Node], loads: Mapping[str, NodeLoad]) -> UsageError | None:
    """Return the error for nodes of a plan that hold what cannot be moved; ``None`` if there are none."""
    held = [(node, load.holds) for node in nodes if (load := loads.get(node.private_address, NO_LOAD)).holds]
    if not held:
        return None
    reasons = "; ".join(f"node {node.index} has {reason}" for node, reason in held)
    return UsageError(
        f"so many nodes cannot leave without a loss: {reasons}",
        hint="end those first, or keep more nodes",
    )
