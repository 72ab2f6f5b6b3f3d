"""Execution of a plan: create the resources and wait for the workers, or remove everything."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from dask_bake.clusters.name_lock import NameLock
from dask_bake.clusters.naming import already_there, member_rule
from dask_bake.clusters.teardown import SETTLE, TaggedResources, Teardown, clear_away
from dask_bake.ec2.protocols import ClusterApi, HeadConnection
from dask_bake.errors import (
    BakeError,
    InstanceReclaimedError,
    LeftoverError,
    NotReadyError,
    merge_errors,
    unexpected,
)
from dask_bake.events import Note, Notify, phase_of
from dask_bake.hints import cluster_command
from dask_bake.launch.plan import LaunchPlan
from dask_bake.launch.provision import Provisioner
from dask_bake.launch.readiness import Readiness
from dask_bake.launch.state import LaunchState
from dask_bake.models.cluster import Cluster, Node
from dask_bake.models.ec2 import InstanceSpec, SecurityGroup
from dask_bake.models.owner import tagged_owners
from dask_bake.models.tags import Tag
from dask_bake.system.concurrency import gather


def launch(
    plan: LaunchPlan,
    cloud: ClusterApi,
    connection: HeadConnection,
    *,
    notify: Notify,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> Cluster:
    """Launch the cluster and return it once all workers have registered; on failure remove everything.

    With ``--min-workers`` fewer workers suffice at the deadline. With ``--keep-on-failure`` nodes that did
    not become ready stay.
    """
    if plan.target.ended is not None:
        clear_away(plan.target.ended, cloud, notify=notify, clock=clock, sleep=sleep)
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
    """Report an interrupt, or a defect, as a cluster that is up: it is too late to undo the launch."""
    try:
        yield
    except BakeError:
        raise
    except (KeyboardInterrupt, Exception) as error:
        failure = unexpected(error) if isinstance(error, Exception) else None
        raise LeftoverError(
            f"{failure.message if failure else 'interrupted'}; the cluster {cluster.name} is running and"
            " costs money",
            hint=cluster_command("down", cluster.name),
            defect=failure and failure.defect,
        ) from error


@dataclass
class _Launch:
    """A launch in progress, with the record that its clean-up needs if it fails."""

    plan: LaunchPlan
    cloud: ClusterApi
    state: LaunchState
    watch: Readiness
    notify: Notify
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    is_over: bool = False

    def take_name(self) -> None:
        """Create the security groups and the key pair; only one launch can create the first group."""
        plan = self.plan
        with phase_of("security group", self.notify, self.clock):
            members = self._make_group(plan.group_name)
            if members is None:
                self.is_over = True
                raise self._name_taken()
            self._keep_name(members)
            if plan.head_rules:
                heads = self._make_group(plan.head_group_name)
                if heads is None:
                    raise _not_ours(plan.head_group_name)
                self.cloud.authorize(heads, plan.head_rules)
            if plan.own_key_name is not None:
                public_key = plan.bootstrap.public_key
                with self.state.creating():
                    self.cloud.import_key_pair(plan.own_key_name, public_key=public_key, tags=plan.group_tags)

    def _keep_name(self, members: SecurityGroup) -> None:
        """Add the group's rule, and meanwhile look for launches of the same name in other VPCs."""
        target = self.plan.target
        ended = () if target.ended is None else target.ended.groups
        lock = NameLock(self.cloud, self.plan.options.name, members, target.owner, ended)
        _, rivals = gather(lambda: self.cloud.authorize(members, (member_rule(members.id),)), lock.rivals)
        lock.keep(rivals, clock=self.clock, sleep=self.sleep)

    def bring_up(self) -> None:
        """Start the nodes and wait for the workers; repeat once elsewhere if EC2 itself ends a node."""
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
        """Request the head, then immediately the workers with the head's address."""
        with phase_of("instances", self.notify, self.clock):
            provisioner.start()
        self.watch.show()

    def undo(self, error: BaseException | None) -> None:
        """Remove everything that this launch created, found by its own tag, because of the error.

        Raises:
            LeftoverError: if something may be left.
            BakeError: for an unexpected exception after which everything is removed.
        """
        failure = unexpected(error) if isinstance(error, Exception) else None
        if self.may_have_made:
            try:
                self._teardown().run()
            except LeftoverError as left:
                if failure is not None:
                    # What ends the launch often keeps it from being undone, and is said once.
                    left.message = left.message.removesuffix(f". The reason: {failure.message}")
                    raise merge_errors([failure, left]) from left
                raise
        self.is_over = True
        if isinstance(error, Exception) and failure is not error:
            raise unexpected(error, left="; nothing is left of the launch") from error

    @property
    def may_have_made(self) -> bool:
        """Return whether there may be anything to undo."""
        return bool(self.state.groups) or self.state.outcome_unknown

    def leftover(self, error: KeyboardInterrupt) -> LeftoverError:
        """Return the error for interrupts so close together that the clean-up is incomplete."""
        return self._teardown().leftover(error)

    @property
    def is_to_be_kept(self) -> bool:
        """Return whether ``--keep-on-failure`` is set and a live node is there to inspect."""
        return self.plan.options.keep_on_failure and self._to_look_into() is not None

    def kept(self, error: NotReadyError) -> LeftoverError:
        """Return the error with the resources that stay, and the commands to inspect and to remove them."""
        cluster, node = self.state.snapshot, self._to_look_into()
        look = cluster_command("ssh", cluster.name, *((str(node.index),) if node and node.index else ()))
        return LeftoverError(
            f"{error.message}. --keep-on-failure keeps these resources, which cost money:"
            f" {'; '.join(self._resources().remaining())}",
            hint=f"{look} opens a shell there: begin with /var/log/cloud-init-output.log;"
            f" {cluster_command('down', cluster.name)} removes everything",
        )

    def _to_look_into(self) -> Node | None:
        """Return the node that the launch waited for, if it is live; else the head, or any live node."""
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
        settle = SETTLE if self.state.outcome_unknown else 0.0
        return Teardown(self._resources(), self.notify, self.clock, self.sleep, settle=settle)

    def _make_group(self, name: str) -> SecurityGroup | None:
        plan = self.plan
        vpc = plan.first.subnet.vpc_id
        with self.state.creating():
            group = self.cloud.create_security_group(name, vpc_id=vpc, tags=plan.group_tags)
            if group is not None:
                self.state.groups = (*self.state.groups, group)
        return group

    def _run(self, spec: InstanceSpec) -> tuple[Node, ...]:
        with self.state.creating():
            return self.state.record(self.cloud.run_instances(spec))

    def _name_taken(self) -> BakeError:
        name = self.plan.options.name
        if there := self.cloud.groups({Tag.CLUSTER: name}, name=self.plan.group_name):
            return already_there(name, tagged_owners(each.tags for each in there), self.plan.target.owner)
        return _not_ours(self.plan.group_name)


def _not_ours(group: str) -> BakeError:
    return BakeError(
        f"the security group {group} exists, and dask-bake did not create it",
        hint="--name gives the cluster another name",
    )
