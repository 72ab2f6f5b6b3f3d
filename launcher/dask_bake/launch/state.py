"""State of a launch as last seen: nodes, groups and registered workers, with the derived facts."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from dask_bake.errors import BakeError
from dask_bake.launch.plan import LaunchPlan
from dask_bake.models.cloud import Role
from dask_bake.models.cluster import Cluster, Node
from dask_bake.models.ec2 import SecurityGroup

ENDING = ("shutting-down", "terminated", "stopping", "stopped")


@dataclass
class LaunchState:
    """Resources that a launch has created, and their progress.

    Args:
        registered: number of registered worker processes, by private address.
        abandoned: instances of this launch that no longer belong to the cluster.
        has_scheduler: whether the scheduler has answered.
        outcome_unknown: whether a request may have created something that is not recorded.
    """

    plan: LaunchPlan
    groups: tuple[SecurityGroup, ...] = ()
    nodes: dict[str, Node] = field(default_factory=dict)
    registered: dict[str, int] = field(default_factory=dict)
    abandoned: set[str] = field(default_factory=set)
    has_scheduler: bool = False
    outcome_unknown: bool = False

    @property
    def head(self) -> Node:
        """The head node."""
        return next(node for node in self.nodes.values() if node.role is Role.HEAD)

    @property
    def snapshot(self) -> Cluster:
        """The cluster as last seen."""
        plan = self.plan
        return Cluster(
            name=plan.options.name,
            cloud=plan.target.cloud,
            region=plan.target.region,
            launch_id=plan.launch_id,
            nodes=tuple(sorted(self.nodes.values(), key=lambda node: node.index)),
            groups=self.groups,
        )

    @property
    def all_run(self) -> bool:
        """Return whether every node is running."""
        return all(node.state == "running" for node in self.nodes.values())

    @property
    def laggards(self) -> list[Node]:
        """Worker nodes with a worker process that has not registered."""
        cluster = self.snapshot
        return [
            node for node in cluster.workers if self.registered.get(node.private_address, 0) < cluster.nprocs
        ]

    @property
    def has_enough_workers(self) -> bool:
        """Return whether at least ``--min-workers`` worker processes have registered."""
        least = self.plan.options.min_workers
        there = sum(self.registered.get(node.private_address, 0) for node in self.snapshot.workers)
        return least is not None and there >= least

    @property
    def expected_workers(self) -> int:
        """The number of worker processes to wait for; a node that ends counts until it is abandoned."""
        cluster = self.snapshot
        return max(len(cluster.workers), cluster.size - 1) * cluster.nprocs

    def can_spare(self, node: Node) -> bool:
        """Return whether ``--min-workers`` is still met without the node; never for the head."""
        least = self.plan.options.min_workers
        kept = self.expected_workers - self.snapshot.nprocs
        return node.role is not Role.HEAD and least is not None and kept >= least

    def awaited(self, is_pinned: Callable[[Node], bool]) -> Node:
        """Return the node that the launch waits for: the head, until its scheduler has answered."""
        if self.plan.options.runs_dask:
            late = self.laggards if self.has_scheduler else []
        else:
            late = [node for node in self.snapshot.nodes if node.state != "running"]
        return late[0] if late and is_pinned(self.head) else self.head

    @contextmanager
    def creating(self) -> Iterator[None]:
        """Record errors without a definite EC2 answer: they may still have created the resource."""
        try:
            yield
        except BakeError as error:
            self.outcome_unknown |= error.may_have_happened
            raise
        except (KeyboardInterrupt, Exception):  # of a defect nobody knows
            self.outcome_unknown = True
            raise

    def record(self, nodes: tuple[Node, ...]) -> tuple[Node, ...]:
        """Store the current state of the nodes, and return them."""
        self.nodes.update({node.id: node for node in nodes})
        self.nodes = {key: node for key, node in self.nodes.items() if key not in self.abandoned}
        return nodes

    def abandon(self, node: Node) -> None:
        """Remove the node from the cluster."""
        self.abandoned.add(node.id)
        self.record(())

    def abandon_all(self) -> tuple[str, ...]:
        """Remove all nodes from the cluster, and return their ids."""
        ids = tuple(self.nodes)
        self.abandoned.update(ids)
        self.nodes, self.registered, self.has_scheduler = {}, {}, False
        return ids
