"""Remove everything of a launch or a cluster: find it by tag, terminate it, and verify that it is gone."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from dask_bake.ec2.protocols import ClusterApi, HeadConnection
from dask_bake.errors import BakeError, LeftoverError, TransientError, unexpected
from dask_bake.events import Note, Notify, phase_of
from dask_bake.hints import command_line
from dask_bake.models.cluster import Cluster, Node
from dask_bake.models.ec2 import SecurityGroup
from dask_bake.models.tags import Tag

TIMEOUT = 300.0
"""Seconds for instances to terminate, and again for their security groups to become unused."""
UNSEEN = 60.0
"""Seconds for which EC2 may not yet list an instance that it has started."""
SETTLE = 10.0
"""Seconds after which EC2 lists everything that it may have created."""
SHORTEST, LONGEST = 0.5, 3.0
"""The polling interval in seconds; it grows to 5 % of the time elapsed."""
AGAIN = 5.0
"""Seconds after which to request termination again for an instance that has not begun to terminate."""
REPORT_AFTER = 10.0
LOOKS = 2
"""Consecutive look-ups that must find nothing."""
PHASE = "taking down"


@dataclass
class TaggedResources:
    """The resources that carry the tags: terminated, deleted and listed, without waiting.

    Args:
        name: of the cluster, for ``dask-bake down``.
        known: instances that EC2 may not list yet.
        known_groups: groups that are listed as remaining where EC2 cannot be reached.
        refusal: the last error with which EC2 refused to terminate instances.
    """

    cloud: ClusterApi
    name: str
    tags: Mapping[str, str]
    known: tuple[str, ...] = ()
    known_groups: tuple[SecurityGroup, ...] = ()
    refusal: BakeError | None = field(default=None, init=False)
    _nodes: dict[str, Node] = field(default_factory=dict, init=False)
    _terminated_at: dict[str, float] = field(default_factory=dict, init=False)
    _busy: tuple[SecurityGroup, ...] = field(default=(), init=False)

    def refresh(self) -> None:
        """Look up the instances."""
        self._nodes = {node.id: node for node in self.cloud.nodes(self.tags)}

    def terminate_known(self, now: float) -> None:
        """Terminate the known instances once, by id: EC2 may refuse to list them, or not list them yet."""
        if new := sorted(set(self.known) - set(self._terminated_at)):
            self._request_termination(new)
            self._terminated_at.update(dict.fromkeys(new, now))

    def terminate(self, now: float, *, may_be_unseen: bool) -> str:
        """Terminate the instances, and return which to wait for: not those that EC2 refuses to terminate."""
        live = {node.id for node in self._nodes.values() if node.is_live}
        unseen = set(self.known) - set(self._nodes) if may_be_unseen else set()
        # EC2 may now know an instance that it did not know at the first request.
        due = {each for each in live | unseen if now >= self._terminated_at.get(each, -AGAIN) + AGAIN}
        stubborn = due & set(self._terminated_at) & live if self.refusal is not None else set()
        if new := sorted(due - stubborn):
            self._request_termination(new)
            self._terminated_at.update(dict.fromkeys(new, now))
        left = sorted({node.id for node in self._nodes.values() if not is_terminated(node)} | unseen)
        awaited = [each for each in left if each not in stubborn]
        return f"instances {', '.join(awaited)} to end" if awaited else ""

    def delete_rest(self) -> str:
        """Delete key pairs, then the groups by which the rest is found; return the groups still in use."""
        for key_pair in self.cloud.key_pairs(self.tags):
            self.cloud.delete_key_pair(key_pair)
        groups = self.cloud.groups(self.tags)
        self._busy = tuple(group for group in groups if not self.cloud.delete_security_group(group.id))
        if not self._busy or self.refusal is not None:
            return ""
        return f"security group {', '.join(f'{each.name} ({each.id})' for each in self._busy)} to be free"

    def remaining(self) -> list[str]:
        """List the resources that exist; if EC2 cannot be reached, those of the last look-up."""
        try:
            nodes = self.cloud.nodes(self.tags)
            found = [_named(node) for node in nodes if not is_terminated(node)]
            found += self._unlisted({node.id for node in nodes})
            found += map(self._with_holders, self.cloud.groups(self.tags))
            found += [f"key pair {key_pair}" for key_pair in self.cloud.key_pairs(self.tags)]
        except (BakeError, KeyboardInterrupt):
            return self.last_seen()
        return found

    def last_seen(self) -> list[str]:
        """List the resources of the last look-up, and the tag of any that EC2 has not reported."""
        found = [_named(node) for node in self._nodes.values() if not is_terminated(node)]
        found += self._unlisted(set(self._nodes))
        found += map(_named_group, self.known_groups)
        # EC2 may have created something without its response reaching this machine.
        return [*found, self.whatever_is_tagged]

    @property
    def whatever_is_tagged(self) -> str:
        """The description of resources that may exist and whose ids are unknown."""
        return f"whatever is tagged {Tag.CLUSTER}={self.name}"

    def _unlisted(self, listed: set[str]) -> list[str]:
        """Name the known instances that EC2 has not listed."""
        return [f"instance {each}" for each in self.known if each not in listed]

    def _request_termination(self, instance_ids: list[str]) -> None:
        try:
            self.cloud.terminate(instance_ids)
        except TransientError:
            raise
        except BakeError as error:
            self.refusal = error

    def _with_holders(self, group: SecurityGroup) -> str:
        """Return the group's name and the resources that still use it after its instances have terminated."""
        is_held = group in self._busy and self.refusal is None
        holders = self.cloud.holders(group.id) if is_held else ()
        return _named_group(group) + (f", used by {', '.join(holders)}" if holders else "")


@dataclass
class Teardown:
    """The removal of tagged resources, repeated until EC2 lists none of them.

    Args:
        settle: minimum seconds to keep looking, for resources that EC2 may have created but not yet list.
    """

    resources: TaggedResources
    notify: Notify
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    settle: float = 0.0
    is_done: bool = field(default=False, init=False)
    _began: float | None = field(default=None, init=False)
    _instances_ended: float | None = field(default=None, init=False)
    _awaited: str = field(default="", init=False)
    _reported: str = field(default="", init=False)

    def run(self) -> None:
        """Remove everything.

        Raises:
            LeftoverError: if something remains, or may remain; it names each resource.
        """
        try:
            try:
                self._run()
            except (BakeError, KeyboardInterrupt) as error:
                if self.is_done:
                    raise
                raise self.leftover(error) from error
        except KeyboardInterrupt as error:
            if self.is_done:
                raise
            raise self._left(error, self.resources.last_seen()) from error
        except BakeError:
            raise
        except Exception as error:  # a defect here must not hide what is left
            if self.is_done:
                raise
            raise self._left(unexpected(error), self.resources.last_seen()) from error

    def leftover(self, error: BaseException) -> LeftoverError:
        """Return an error with this one as its reason, and with the names of all remaining resources."""
        remaining = self.resources.remaining()
        tagged = self.resources.whatever_is_tagged
        if not self._is_settled and tagged not in remaining:
            remaining.append(tagged)
        return self._left(error, remaining)

    @property
    def _is_settled(self) -> bool:
        """Return whether EC2 lists by now whatever it may have created."""
        return not self.settle or (self._began is not None and self.clock() >= self._began + self.settle)

    def _run(self) -> None:
        with phase_of(PHASE, self.notify, self.clock):
            self._began = self.clock()
            self._remove(self._began)
            self.is_done = True

    def _remove(self, start: float) -> None:
        looks = 0
        while looks < LOOKS or self.clock() < start + self.settle:
            if looks or self._awaited:
                self.sleep(min(LONGEST, max(SHORTEST, (self.clock() - start) / 20)))
            try:
                self._awaited = self._step(start)
            except TransientError as error:
                self._awaited = f"EC2: {error.message}"
            if self._awaited:
                looks = 0
                self._check_timeout(start)
            elif self.resources.refusal is not None:
                raise self.resources.refusal
            else:
                looks += 1

    def _step(self, start: float) -> str:
        """Remove the resources that can be removed now, and return what to wait for."""
        self.resources.terminate_known(self.clock())
        self.resources.refresh()
        now = self.clock()
        if awaited := self.resources.terminate(now, may_be_unseen=now < start + UNSEEN):
            self._instances_ended = None
            return awaited
        self._instances_ended = self._instances_ended or now
        return self.resources.delete_rest()

    def _check_timeout(self, start: float) -> None:
        now = self.clock()
        if now >= (self._instances_ended or start) + TIMEOUT:
            raise self.resources.refusal or BakeError(f"waited {TIMEOUT:.0f} s for {self._awaited}")
        if now >= start + REPORT_AFTER and self._awaited != self._reported:
            self._reported = self._awaited
            self.notify(Note(f"Waiting for {self._awaited}."))

    def _left(self, error: BaseException, remaining: Sequence[str]) -> LeftoverError:
        name, why = self.resources.name, str(error) or "interrupted"
        left = "; ".join(remaining) or self.resources.whatever_is_tagged
        return LeftoverError(
            f"something may be left that costs money: {left}. The reason: {why}",
            hint=command_line("down", name),
            defect=error.defect if isinstance(error, BakeError) else None,
        )


def take_down(
    cluster: Cluster,
    cloud: ClusterApi,
    connection: HeadConnection,
    *,
    notify: Notify,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> None:
    """Remove the cluster from the cloud, and its keys from this machine."""
    tags = {Tag.MANAGED: "true", Tag.CLUSTER: cluster.name}
    known = tuple(node.id for node in cluster.nodes if node.is_live)
    resources = TaggedResources(cloud, cluster.name, tags, known, cluster.groups)
    Teardown(resources, notify, clock, sleep).run()
    connection.forget()


def clear_away(
    cluster: Cluster,
    cloud: ClusterApi,
    *,
    notify: Notify,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> None:
    """Remove what a cluster that has ended left in the cloud; a later launch of its name is not touched."""
    launches = {dict(group.tags).get(Tag.LAUNCH, "") for group in cluster.groups} - {""}
    for launch_id in sorted(launches):
        tags = {Tag.MANAGED: "true", Tag.CLUSTER: cluster.name, Tag.LAUNCH: launch_id}
        Teardown(TaggedResources(cloud, cluster.name, tags), notify, clock, sleep).run()


def is_terminated(node: Node) -> bool:
    """Return whether the instance is gone."""
    return node.state == "terminated"


def _named(node: Node) -> str:
    return f"instance {node.id} ({node.state})"


def _named_group(group: SecurityGroup) -> str:
    return f"security group {group.name} ({group.id})"
