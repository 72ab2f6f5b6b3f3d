"""A launch carried out: the plan's calls, then a watch until every worker is there; or nothing is left."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from dask_bake.clusters.naming import already_there, member_rule
from dask_bake.clusters.teardown import SETTLE, TaggedResources, Teardown
from dask_bake.ec2.protocols import ClusterApi, HeadConnection
from dask_bake.errors import BakeError, InstanceReclaimedError, LeftoverError, NotReadyError, merge_errors
from dask_bake.events import Note, Notify, phase_of
from dask_bake.hints import cluster_command
from dask_bake.launch.plan import LaunchPlan
from dask_bake.launch.provision import Provisioner
from dask_bake.launch.readiness import Readiness
from dask_bake.launch.state import LaunchState
from dask_bake.models.cluster import Cluster, Node
from dask_bake.models.ec2 import InstanceSpec, SecurityGroup
from dask_bake.models.tags import Tag


def launch(
    plan: LaunchPlan,
    cloud: ClusterApi,
    connection: HeadConnection,
    *,
    notify: Notify,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> Cluster:
    """The cluster, all of whose workers have registered; on any failure nothing of it is left."""
    state, deadline = LaunchState(plan), clock() + plan.options.timeout
    watch = Readiness(state, cloud, connection, notify, clock, sleep, deadline=deadline)
    run = _Launch(plan, cloud, state, watch, notify, clock, sleep)
    try:
        return _bring_up(run, connection)
    except KeyboardInterrupt as error:
        if run.is_over or not run.may_have_made:
            raise
        raise run.leftover(error) from error


def _bring_up(run: "_Launch", connection: HeadConnection) -> Cluster:
    with ExitStack() as on_failure:
        on_failure.callback(connection.close)
        on_failure.push(lambda _kind, error, _trace: run.undo(error))
        run.take_name()
        on_failure.callback(connection.forget)
        connection.prepare()
        try:
            run.bring_up()
        except NotReadyError as error:
            if not run.is_to_be_kept:
                raise
            kept = run.kept(error)
            on_failure.pop_all()
            connection.close()
            raise kept from error
        on_failure.pop_all()
    cluster = run.state.snapshot
    with staying(cluster):
        connection.close()
    return cluster


@contextmanager
def staying(cluster: Cluster) -> Iterator[None]:
    """An interrupt within this comes too late: the cluster is up, and that is said."""
    try:
        yield
    except KeyboardInterrupt as error:
        raise LeftoverError(
            f"interrupted; the cluster {cluster.name} is up, and costs",
            hint=cluster_command("down", cluster.name),
        ) from error


@dataclass
class _Launch:
    """One launch while it makes things: what it has to undo if it fails."""

    plan: LaunchPlan
    cloud: ClusterApi
    state: LaunchState
    watch: Readiness
    notify: Notify
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    outcome_unknown: bool = False
    is_over: bool = False

    def take_name(self) -> None:
        """Makes the security groups, the first of which has a name that only one launch can have."""
        plan = self.plan
        with phase_of("security group", self.notify, self.clock):
            members = self._make_group(plan.group_name)
            if members is None:
                self.is_over = True
                raise self._name_taken()
            self.cloud.authorize(members, (member_rule(members.id),))
            if plan.head_rules:
                heads = self._make_group(plan.head_group_name)
                if heads is None:
                    raise _not_ours(plan.head_group_name)
                self.cloud.authorize(heads, plan.head_rules)
            if plan.own_key_name is not None:
                public_key = plan.bootstrap.public_key
                with self._making():
                    self.cloud.import_key_pair(plan.own_key_name, public_key=public_key, tags=plan.group_tags)

    def bring_up(self) -> None:
        """Starts the nodes and waits for the workers: once more elsewhere where EC2 itself ended a node."""
        provisioner = self._provisioner()
        self._start_nodes(provisioner)
        try:
            self.watch.wait()
        except InstanceReclaimedError as error:
            if not provisioner.remaining:
                raise
            ended = f"{error.message[0].upper()}{error.message[1:]}"
            self.notify(Note(f"{ended}; all nodes are started once more, elsewhere."))
            self.cloud.terminate(self.state.abandon_all())
            provisioner.head = None
            self._start_nodes(provisioner)
            self.watch.wait()

    def _provisioner(self) -> Provisioner:
        members, *heads = (group.id for group in self.state.groups)
        return Provisioner(
            self.plan,
            self.cloud,
            self._run,
            self.notify,
            groups=(members,),
            head_groups=tuple(heads),
            abandoned=self.state.abandoned,
        )

    def _start_nodes(self, provisioner: Provisioner) -> None:
        """Asks for the head, and at once, with the address it was given, for the workers."""
        with phase_of("instances", self.notify, self.clock):
            provisioner.start()
        self.watch.show()

    def undo(self, error: BaseException | None) -> None:
        """Removes whatever this launch made, found by the launch's own tag, because of the error."""
        if self.may_have_made:
            try:
                self._teardown().run()
            except LeftoverError as left:
                if isinstance(error, BakeError):
                    raise merge_errors([error, left]) from left
                raise
        self.is_over = True

    @property
    def may_have_made(self) -> bool:
        """Whether there is anything to undo."""
        return bool(self.state.groups) or self.outcome_unknown

    def leftover(self, error: KeyboardInterrupt) -> LeftoverError:
        """What is to be said of interrupts that came so fast that not all was undone."""
        return self._teardown().leftover(error)

    @property
    def is_to_be_kept(self) -> bool:
        """Whether there are nodes that did not become ready, and that somebody wants to look into."""
        return self.plan.options.keep_on_failure and self._to_look_into() is not None

    def kept(self, error: NotReadyError) -> LeftoverError:
        """The error, with all that stays, how it is looked into, and how it ends."""
        cluster, node = self.state.snapshot, self._to_look_into()
        look = cluster_command("ssh", cluster.name, *((str(node.index),) if node and node.index else ()))
        return LeftoverError(
            f"{error.message}. --keep-on-failure keeps what there is, and it costs:"
            f" {'; '.join(self._resources().remaining())}",
            hint=f"{look} looks into it, /var/log/cloud-init-output.log being where to begin;"
            f" {cluster_command('down', cluster.name)} removes it all",
        )

    def _to_look_into(self) -> Node | None:
        """The node that was waited for, if it lives; else the head, or any that does."""
        awaited = (self.watch.awaited(),) if self.state.nodes else ()
        return next((each for each in (*awaited, *self.state.snapshot.nodes) if each.is_live), None)

    def _resources(self) -> TaggedResources:
        return TaggedResources(
            self.cloud,
            self.plan.options.name,
            {Tag.LAUNCH: self.plan.launch_id},
            known=(*self.state.nodes, *sorted(self.state.abandoned)),
            known_groups=self.state.groups,
        )

    def _teardown(self) -> Teardown:
        settle = SETTLE if self.outcome_unknown else 0.0
        return Teardown(self._resources(), self.notify, self.clock, self.sleep, settle=settle)

    def _make_group(self, name: str) -> SecurityGroup | None:
        plan = self.plan
        vpc = plan.first.subnet.vpc_id
        with self._making():
            group = self.cloud.create_security_group(name, vpc_id=vpc, tags=plan.group_tags)
            if group is not None:
                self.state.groups = (*self.state.groups, group)
        return group

    def _run(self, spec: InstanceSpec) -> tuple[Node, ...]:
        with self._making():
            return self.state.record(self.cloud.run_instances(spec))

    @contextmanager
    def _making(self) -> Iterator[None]:
        """What fails here without a clear word of EC2's may have been made."""
        try:
            yield
        except BakeError as error:
            self.outcome_unknown |= error.may_have_happened
            raise
        except KeyboardInterrupt:
            self.outcome_unknown = True
            raise

    def _name_taken(self) -> BakeError:
        name = self.plan.options.name
        if self.cloud.groups({Tag.CLUSTER: name}, name=self.plan.group_name):
            return already_there(name)
        return _not_ours(self.plan.group_name)


def _not_ours(group: str) -> BakeError:
    return BakeError(
        f"the security group {group} exists, and dask-bake did not make it",
        hint="--name gives the cluster another name",
    )
