"""Everything of a launch, or of a cluster, gone: found by tag, terminated, and looked for again."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from dask_bake.ec2.protocols import CloudEdge, WayIn
from dask_bake.errors import BakeError, LeftoverError, PassingError
from dask_bake.events import Note, Notify, phase_of
from dask_bake.hints import command_line
from dask_bake.models.cluster import Cluster, Node
from dask_bake.models.ec2 import SecurityGroup
from dask_bake.models.tags import Tag

PATIENCE = 300.0
"""Seconds for instances to end, and as many for their groups to be free."""
UNSEEN = 60.0
"""Seconds for which EC2 may not list an instance that it has started."""
SETTLE = 10.0
"""Seconds after which whatever EC2 may have made has shown itself."""
SOONEST, LATEST = 0.5, 3.0
"""Seconds from look to look: the longer it takes, the rarer, as none is then worth more than a twentieth."""
AGAIN = 5.0
"""Seconds after which an instance that has not begun to end is told to once more."""
TELL_AFTER = 10.0
LOOKS = 2
"""How many looks in a row must find nothing."""
PHASE = "taking down"


@dataclass
class Removal:
    """What is to be removed, and with what.

    Args:
        tags: by which it is found.
        name: for ``dask-bake down``.
        known: instances that EC2 may not list yet.
        settle: for how many seconds EC2 may still turn out to have made something.
        known_groups: groups that are told as left where EC2 cannot be asked.
    """

    cloud: CloudEdge
    name: str
    tags: Mapping[str, str]
    notify: Notify
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    known: tuple[str, ...] = ()
    settle: float = 0.0
    known_groups: tuple[SecurityGroup, ...] = ()
    is_done: bool = field(default=False, init=False)
    _nodes: dict[str, Node] = field(default_factory=dict)
    _asked: dict[str, float] = field(default_factory=dict)
    _busy: tuple[SecurityGroup, ...] = ()
    _refusal: BakeError | None = None
    _instances_ended: float | None = None
    _awaited: str = ""
    _told: str = ""

    def run(self) -> None:
        """Removes it all, or says what is left."""
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
            raise self._left(error, self._known()) from error

    def leftover(self, error: BaseException) -> LeftoverError:
        """What is left because of the error."""
        return self._left(error, self.pieces())

    def pieces(self) -> list[str]:
        """What there is: as EC2 says, or as it was when EC2 still answered."""
        try:
            pieces = [_named(node) for node in self.cloud.nodes(self.tags) if not ended(node)]
            pieces += map(self._with_holders, self.cloud.groups(self.tags))
            pieces += [f"key pair {key_pair}" for key_pair in self.cloud.key_pairs(self.tags)]
        except (BakeError, KeyboardInterrupt):
            return self._known()
        return pieces

    def _run(self) -> None:
        with phase_of(PHASE, self.notify, self.clock):
            self._remove(self.clock())
            self.is_done = True

    def _remove(self, start: float) -> None:
        looks = 0
        while looks < LOOKS or self.clock() < start + self.settle:
            if looks or self._awaited:
                self.sleep(min(LATEST, max(SOONEST, (self.clock() - start) / 20)))
            try:
                self._awaited = self._end_instances(start) or self._delete_rest()
            except PassingError as error:
                self._awaited = f"EC2: {error.message}"
            if self._awaited:
                looks = 0
                self._check_patience(start)
            elif self._refusal is not None:
                raise self._refusal
            else:
                looks += 1

    def _check_patience(self, start: float) -> None:
        now = self.clock()
        if now >= (self._instances_ended or start) + PATIENCE:
            raise self._refusal or BakeError(f"waited {PATIENCE:.0f} s for {self._awaited}")
        if now >= start + TELL_AFTER and self._awaited != self._told:
            self._told = self._awaited
            self.notify(Note(f"Waiting for {self._awaited}."))

    def _end_instances(self, start: float) -> str:
        """Tells instances to end, and says which are waited for; those that refuse are not."""
        nodes, now = self.cloud.nodes(self.tags), self.clock()
        self._nodes = {node.id: node for node in nodes}
        live = {node.id for node in nodes if node.is_live}
        unseen = set(self.known) - set(self._nodes) if now < start + UNSEEN else set()
        # What EC2 did not know when it was told may be there now.
        due = {each for each in live | unseen if now >= self._asked.get(each, -AGAIN) + AGAIN}
        stubborn = due & set(self._asked) & live if self._refusal is not None else set()
        if new := sorted(due - stubborn):
            self._terminate(new)
            self._asked.update(dict.fromkeys(new, now))
        left = sorted({node.id for node in nodes if not ended(node)} | unseen)
        if waited_for := [each for each in left if each not in stubborn]:
            self._instances_ended = None
            return f"instances {', '.join(waited_for)} to end"
        self._instances_ended = self._instances_ended or now
        return ""

    def _terminate(self, instance_ids: list[str]) -> None:
        try:
            self.cloud.terminate(instance_ids)
        except PassingError:
            raise
        except BakeError as error:
            self._refusal = error

    def _delete_rest(self) -> str:
        """Deletes key pairs, then the groups by which the rest is found; says which group is waited for."""
        for key_pair in self.cloud.key_pairs(self.tags):
            self.cloud.delete_key_pair(key_pair)
        groups = self.cloud.groups(self.tags)
        self._busy = tuple(group for group in groups if not self.cloud.delete_security_group(group.id))
        if not self._busy or self._refusal is not None:
            return ""
        return f"security group {', '.join(f'{each.name} ({each.id})' for each in self._busy)} to be free"

    def _with_holders(self, group: SecurityGroup) -> str:
        """The group, and what still uses it though its instances have ended."""
        is_held = group in self._busy and self._refusal is None
        holders = self.cloud.holders(group.id) if is_held else ()
        return _named_group(group) + (f", used by {', '.join(holders)}" if holders else "")

    def _known(self) -> list[str]:
        pieces = [_named(node) for node in self._nodes.values() if not ended(node)]
        pieces += [f"instance {each}" for each in self.known if each not in self._nodes]
        pieces += map(_named_group, self.known_groups)
        # What EC2 made without its word reaching anybody is known to nobody here.
        return [*pieces, f"whatever is tagged {Tag.CLUSTER}={self.name}"]

    def _left(self, error: BaseException, pieces: Sequence[str]) -> LeftoverError:
        why = str(error) or "interrupted"
        left = "; ".join(pieces) or f"whatever is tagged {Tag.CLUSTER}={self.name}"
        return LeftoverError(
            f"something may be left that costs money: {left}. The reason: {why}",
            hint=command_line("down", self.name),
        )


def ended(node: Node) -> bool:
    """True when the instance is no more."""
    return node.state == "terminated"


def _named(node: Node) -> str:
    return f"instance {node.id} ({node.state})"


def _named_group(group: SecurityGroup) -> str:
    return f"security group {group.name} ({group.id})"


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
    known = tuple(node.id for node in cluster.nodes if node.is_live)
    Removal(
        cloud,
        cluster.name,
        tags,
        notify,
        clock,
        sleep,
        known=known,
        known_groups=cluster.groups,
    ).run()
    way_in.forget()
