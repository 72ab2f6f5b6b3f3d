"""A launch carried out: the plan's calls, then a watch until every worker is there; or nothing is left."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from dask_bake.console import host_key_from_console, last_lines
from dask_bake.edges import CloudEdge, UnclearError, WayIn
from dask_bake.errors import BakeError, NotReadyError
from dask_bake.events import ClusterSeen, Notify, Output, PhaseEnded, PhaseStarted
from dask_bake.models import Cluster, InstanceSpec, Node, SecurityGroup, Tag
from dask_bake.plan import LaunchPlan
from dask_bake.removal import Removal

TICK = 0.2
LOOK_AT_INSTANCES = 0.5
LOOK_AT_CONSOLE = 0.5
SETTLE = 5.0
LAST_LINES = 20
DOOMED = ("shutting-down", "terminated", "stopping", "stopped")


def launch(
    plan: LaunchPlan,
    cloud: CloudEdge,
    way_in: WayIn,
    *,
    notify: Notify,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> Cluster:
    """The cluster, all of whose workers have registered; on any failure nothing of it is left."""
    run = _Launch(plan, cloud, way_in, notify, clock, sleep, deadline=clock() + plan.options.timeout)
    with ExitStack() as always, ExitStack() as on_failure:
        always.callback(way_in.close)
        on_failure.callback(run.undo)
        run.take_name()
        on_failure.callback(way_in.forget)
        way_in.prepare()
        run.start_nodes()
        run.wait_for_head()
        run.wait_for_workers()
        on_failure.pop_all()
    return run.seen


def take_down(
    cluster: Cluster,
    cloud: CloudEdge,
    way_in: WayIn,
    *,
    notify: Notify,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> None:
    """Ends everything that the cluster has, here and in the cloud."""
    tags = {Tag.MANAGED: "true", Tag.CLUSTER: cluster.name}
    Removal(cloud, cluster.name, tags, notify, clock, sleep).run()
    way_in.forget()


@dataclass
class _Launch:
    """One launch while it goes on: what has been made so far, and what was last seen of it."""

    plan: LaunchPlan
    cloud: CloudEdge
    way_in: WayIn
    notify: Notify
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    deadline: float
    group: SecurityGroup | None = None
    nodes: dict[str, Node] = field(default_factory=dict)
    registered: dict[str, int] = field(default_factory=dict)
    outcome_unknown: bool = False
    name_is_taken: bool = False
    next_look: float = 0.0
    next_console: float = 0.0

    def take_name(self) -> None:
        """Makes the security group, whose name only one launch can have."""
        with self._phase("security group"):
            plan = self.plan
            vpc = plan.surroundings.subnet.vpc_id
            group = self.cloud.create_security_group(plan.group_name, vpc_id=vpc, tags=plan.group_tags)
            if group is None:
                raise self._name_taken()
            self.group = group
            self.cloud.authorize(group, caller=plan.surroundings.caller)

    def start_nodes(self) -> None:
        """Asks for the head, and at once, with the address it was given, for the workers."""
        assert self.group is not None  # noqa: S101 - take_name came first
        with self._phase("instances"):
            head = self._run(self.plan.head(self.group.id))[0]
            self._run(self.plan.workers(head.private_address, self.group.id))
        self._show()

    def wait_for_head(self) -> None:
        """Returns once the head's scheduler answers through the way in."""
        with self._phase("head"):
            self._until(lambda: self.head.state == "running", "the head to run")
        with self._phase("host key"):
            self._until(self._pin_head, "the head's host key on its console")
        with self._phase("scheduler"):
            self._until(self._ask_scheduler, "the scheduler to answer through SSH")

    def wait_for_workers(self) -> None:
        """Returns once every worker process has registered with the scheduler."""
        with self._phase("workers"):
            self._until(lambda: self._ask_scheduler() and not self._late(), "all workers to register")
        self._show()

    def undo(self) -> None:
        """Removes whatever this launch made, found by the launch's own tag."""
        if self.name_is_taken:
            return
        Removal(
            self.cloud,
            self.plan.options.name,
            {Tag.LAUNCH: self.plan.launch_id},
            self.notify,
            self.clock,
            self.sleep,
            known=tuple(self.nodes),
            settle=SETTLE if self.outcome_unknown else 0.0,
        ).run()

    @property
    def head(self) -> Node:
        """The head as last seen."""
        return next(node for node in self.nodes.values() if node.index == 0)

    @property
    def seen(self) -> Cluster:
        """The cluster as last seen."""
        plan = self.plan
        return Cluster(
            name=plan.options.name,
            cloud=plan.surroundings.cloud,
            region=plan.surroundings.region,
            launch_id=plan.launch_id,
            nprocs=plan.options.nprocs,
            nthreads=plan.nthreads,
            nodes=tuple(sorted(self.nodes.values(), key=lambda node: node.index)),
            groups=(self.group,) if self.group else (),
        )

    def _run(self, spec: InstanceSpec) -> tuple[Node, ...]:
        try:
            return self._keep(self.cloud.run_instances(spec))
        except (UnclearError, KeyboardInterrupt):
            self.outcome_unknown = True
            raise

    def _keep(self, nodes: tuple[Node, ...]) -> tuple[Node, ...]:
        self.nodes.update({node.id: node for node in nodes})
        return nodes

    def _until(self, condition: Callable[[], bool], awaited: str) -> None:
        while not condition():
            if self.clock() >= self.deadline:
                raise self._too_late(awaited)
            self.sleep(TICK)
            if self.clock() >= self.next_look:
                self.next_look = self.clock() + LOOK_AT_INSTANCES
                self._look()

    def _look(self) -> None:
        self._keep(self.cloud.nodes({Tag.LAUNCH: self.plan.launch_id}))
        self._show()
        for node in self.nodes.values():
            if node.state in DOOMED:
                self._show_console(node)
                reason = node.state_reason or f"it is {node.state}"
                raise NotReadyError(
                    f"node {node.index} ({node.id}) ended while the cluster was launched: {reason}",
                    hint="the last lines of its console are above",
                )

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
            self._show()
        return registered is not None

    def _late(self) -> list[Node]:
        nprocs = self.plan.options.nprocs
        return [node for node in self.seen.workers if self.registered.get(node.private_address, 0) < nprocs]

    def _show(self) -> None:
        self.notify(ClusterSeen(self.seen, tuple(sorted(self.registered.items()))))

    def _show_console(self, node: Node) -> None:
        try:
            lines = last_lines(self.cloud.console_output(node.id), LAST_LINES)
        except BakeError as error:
            lines = [f"the console of node {node.index} cannot be had: {error.message}"]
        for line in lines:
            self.notify(Output(f"node {node.index}: {line}"))

    def _too_late(self, awaited: str) -> BakeError:
        late = self._late()
        node = late[0] if self.registered and late else self.head
        self._show_console(node)
        trouble = f"; SSH says: {self.way_in.trouble}" if self.way_in.trouble and not self.registered else ""
        ready = sum(self.registered.values())
        return NotReadyError(
            f"waited {self.plan.options.timeout} s for {awaited}: {ready} of {self.plan.workers_expected}"
            f" workers registered, node {node.index} is late{trouble}",
            hint="--timeout gives it longer; the last lines of that node's console are above",
        )

    def _name_taken(self) -> BakeError:
        self.name_is_taken = True
        plan, name = self.plan, self.plan.options.name
        if self.cloud.groups({Tag.CLUSTER: name}, name=plan.group_name):
            return BakeError(
                f"a cluster named {name} already exists, or is being launched",
                hint=f"dask-bake status {name} shows it, dask-bake down {name} ends it, --name gives another",
            )
        return BakeError(
            f"the security group {plan.group_name} exists, and dask-bake did not make it",
            hint="--name gives the cluster another name",
        )

    @contextmanager
    def _phase(self, phase: str) -> Iterator[None]:
        start = self.clock()
        self.notify(PhaseStarted(phase))
        yield
        self.notify(PhaseEnded(phase, self.clock() - start))
