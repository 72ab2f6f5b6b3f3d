"""The watch over a launch, from nodes that were asked for to workers that have registered."""

from collections.abc import Callable
from dataclasses import dataclass, field

from dask_bake.clusters.teardown import UNSEEN
from dask_bake.ec2.protocols import CloudEdge, WayIn
from dask_bake.errors import BakeError, NotReadyError, PassingError, TakenError
from dask_bake.events import ClusterSeen, Note, Notify, Output, phase_of
from dask_bake.launch.plan import LaunchPlan
from dask_bake.models.cloud import Role
from dask_bake.models.cluster import Cluster, Node
from dask_bake.models.ec2 import SecurityGroup
from dask_bake.models.tags import Tag
from dask_bake.ssh.host_keys import host_key_from_console, last_lines

TICK = 0.2
LOOK_AT_INSTANCES = 0.5
LOOK_AT_CONSOLE = 0.5
LAST_LINES = 30
OF_EC2 = "Server."
"""How reasons begin that are EC2's own, and nothing that was asked for."""
NO_DISK = "Client.InternalError"
DOOMED = ("shutting-down", "terminated", "stopping", "stopped")


@dataclass
class Readiness:
    """What was last seen of a launch, and the waiting for more.

    Args:
        abandoned: instances of this launch that are none of the cluster's any more.
    """

    plan: LaunchPlan
    cloud: CloudEdge
    way_in: WayIn
    notify: Notify
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    deadline: float
    groups: tuple[SecurityGroup, ...] = ()
    abandoned: set[str] = field(default_factory=set)
    nodes: dict[str, Node] = field(default_factory=dict)
    registered: dict[str, int] = field(default_factory=dict)
    next_look: float = 0.0
    next_console: float = 0.0
    told_of_silence: bool = False
    unseen_until: float = 0.0
    next_end: float = 0.0

    def wait(self) -> None:
        """Returns once the cluster is what was asked for."""
        with phase_of("head", self.notify, self.clock):
            self._until(lambda: self.head.state == "running", "the head to run")
        with phase_of("host key", self.notify, self.clock):
            self._until(self._pin_head, "the head's host key on its console")
        if self.plan.options.runs_dask:
            self._wait_for_dask()
        else:
            self._wait_for_shells()
        if self.abandoned:
            self.unseen_until = self.clock() + UNSEEN
            self.deadline = max(self.deadline, self.unseen_until)
            self._until(self._given_up_end, "the nodes that were given up to end")
        self.show()

    def _wait_for_dask(self) -> None:
        with phase_of("scheduler", self.notify, self.clock):
            self._until(self._ask_scheduler, "the scheduler to answer through SSH")
        with phase_of("workers", self.notify, self.clock):
            try:
                self._until(lambda: self._ask_scheduler() and not self._late(), "all workers to register")
            except NotReadyError:
                if not self._is_good_enough():
                    raise
        if late := self._late():
            numbers = ", ".join(str(node.index) for node in late)
            self.notify(
                Note(f"The workers of node {numbers} have not registered; the node is there, and costs.")
            )

    def _wait_for_shells(self) -> None:
        """There is no Dask to wait for: every node runs, and the head lets in."""
        with phase_of("nodes", self.notify, self.clock):
            self._until(self._all_run, "all nodes to run")
            self._until(lambda: self.way_in.opens(self.head), "the head to answer through SSH")

    @property
    def head(self) -> Node:
        """The head as last seen."""
        return next(node for node in self.nodes.values() if node.role is Role.HEAD)

    @property
    def seen(self) -> Cluster:
        """The cluster as last seen."""
        plan = self.plan
        return Cluster(
            name=plan.options.name,
            cloud=plan.surroundings.cloud,
            region=plan.surroundings.region,
            launch_id=plan.launch_id,
            nodes=tuple(sorted(self.nodes.values(), key=lambda node: node.index)),
            groups=self.groups,
        )

    def keep(self, nodes: tuple[Node, ...]) -> tuple[Node, ...]:
        """Remembers the nodes as they are now."""
        self.nodes.update({node.id: node for node in nodes})
        self.nodes = {key: node for key, node in self.nodes.items() if key not in self.abandoned}
        return nodes

    def give_up(self) -> tuple[str, ...]:
        """The nodes are none of the cluster's any more: their ids."""
        ids = tuple(self.nodes)
        self.abandoned.update(ids)
        self.nodes, self.registered = {}, {}
        return ids

    def show(self) -> None:
        """Tells what is seen."""
        self.notify(ClusterSeen(self.seen, tuple(sorted(self.registered.items()))))

    def _until(self, condition: Callable[[], bool], awaited: str) -> None:
        while not self._is_so(condition, awaited):
            if self.clock() >= self.deadline:
                raise self._too_late(awaited)
            self.sleep(TICK)
            if self.clock() >= self.next_look:
                self.next_look = self.clock() + LOOK_AT_INSTANCES
                self._is_so(self._look, awaited)

    def _is_so(self, condition: Callable[[], bool], awaited: str) -> bool:
        """False where EC2 cannot say: until the deadline the network may come back, and nodes boot on."""
        try:
            return condition()
        except PassingError as error:
            if self.clock() >= self.deadline:
                raise self._too_late(awaited, f"; {error.message}") from error
            if not self.told_of_silence:
                self.told_of_silence = True
                self.notify(Note(f"Waiting for EC2: {error.message}."))
            return False

    def _look(self) -> bool:
        self.keep(self.cloud.nodes({Tag.LAUNCH: self.plan.launch_id}))
        self.show()
        for node in self.seen.nodes:
            if node.state in DOOMED:
                self._lose(node)
        return True

    def _lose(self, node: Node) -> None:
        """A node has ended: the others go on if they are good enough."""
        self._show_console(node)
        reason = node.state_reason or f"it is {node.state}"
        ended = f"node {node.index} ({node.id}) ended while the cluster was launched: {reason}"
        least, kept = self.plan.options.min_workers, self.seen.expected_workers - self.seen.nprocs
        if node.role is Role.HEAD or least is None or kept < least:
            error = TakenError if reason.startswith(OF_EC2) else NotReadyError
            hint = "the last lines of its console are above"
            if reason.startswith(NO_DISK):
                hint = "often its disk: may these credentials use the KMS key that encrypts it?"
            raise error(ended, hint=hint)
        self.abandoned.add(node.id)
        self.keep(())
        self.notify(Note(f"{ended[0].upper()}{ended[1:]}."))

    def _all_run(self) -> bool:
        return all(node.state == "running" for node in self.nodes.values())

    def _given_up_end(self) -> bool:
        """True when those that were given up end; EC2 may not have known them when they were told to."""
        seen = {node.id: node for node in self.cloud.nodes({Tag.LAUNCH: self.plan.launch_id})}
        unseen = self.abandoned - set(seen) if self.clock() < self.unseen_until else set()
        live = {each for each in self.abandoned & set(seen) if seen[each].is_live}
        if live | unseen and self.clock() >= self.next_end:
            self.next_end = self.clock() + LOOK_AT_INSTANCES
            self.cloud.terminate(sorted(live | unseen))
        return not live | unseen

    def _is_good_enough(self) -> bool:
        least = self.plan.options.min_workers
        there = sum(self.registered.get(node.private_address, 0) for node in self.seen.workers)
        return least is not None and there >= least

    def _pin_head(self) -> bool:
        if self.clock() >= self.next_console:
            self.next_console = self.clock() + LOOK_AT_CONSOLE
            host_key = host_key_from_console(self.cloud.console_output(self.head.id))
            if host_key is not None:
                self.way_in.pin(self.head, host_key)
        return self.way_in.is_pinned(self.head)

    def _ask_scheduler(self) -> bool:
        registered = self.way_in.registered(self.head)
        if registered is not None and dict(registered) != self.registered:
            self.registered = dict(registered)
            self.show()
        return registered is not None

    def _late(self) -> list[Node]:
        cluster = self.seen
        return [
            node for node in cluster.workers if self.registered.get(node.private_address, 0) < cluster.nprocs
        ]

    @property
    def late(self) -> tuple[Node, ...]:
        """The node that is waited for, once there is one."""
        return (self._latest(),) if self.nodes else ()

    def _latest(self) -> Node:
        if self.plan.options.runs_dask:
            late = self._late() if self.registered else []
        else:
            late = [node for node in self.seen.nodes if node.state != "running"]
        return late[0] if late and self.way_in.is_pinned(self.head) else self.head

    def _show_console(self, node: Node) -> None:
        try:
            lines = last_lines(self.cloud.console_output(node.id), LAST_LINES)
        except BakeError as error:
            lines = [f"the console of node {node.index} cannot be had: {error.message}"]
        for line in lines:
            self.notify(Output(f"node {node.index}: {line}"))

    def _too_late(self, awaited: str, why: str = "") -> BakeError:
        node = self._latest()
        self._show_console(node)
        trouble = f"; SSH says: {self.way_in.trouble}" if self.way_in.trouble and not self.registered else ""
        ready = f"{sum(self.registered.values())} of {self.seen.expected_workers} workers registered, "
        return NotReadyError(
            f"waited {self.plan.options.timeout} s for {awaited}:"
            f" {ready if self.plan.options.runs_dask else ''}node {node.index} is late{trouble}{why}",
            hint="--timeout gives it longer; the last lines of that node's console are above",
        )
