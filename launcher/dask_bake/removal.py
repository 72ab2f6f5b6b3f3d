"""Everything of a launch, or of a cluster, gone: found by tag, terminated, and looked for again."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from dask_bake.edges import CloudEdge
from dask_bake.errors import BakeError, LeftoverError
from dask_bake.events import Notify, PhaseEnded, PhaseStarted
from dask_bake.models import Node, Tag

PATIENCE = 300.0
PAUSE = 0.5
PHASE = "taking down"


@dataclass(frozen=True)
class Removal:
    """What is to be removed, and with what.

    Args:
        tags: by which it is found.
        name: for ``dask-bake down``.
        known: instances that EC2 may not list yet.
        settle: for how many seconds EC2 may still turn out to have made something.
    """

    cloud: CloudEdge
    name: str
    tags: Mapping[str, str]
    notify: Notify
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    known: tuple[str, ...] = ()
    settle: float = 0.0

    def run(self) -> None:
        """Removes it all, or says what is left."""
        start = self.clock()
        self.notify(PhaseStarted(PHASE))
        try:
            self._end_instances(start)
            self._delete_groups(start + PATIENCE)
            for key_pair in self.cloud.key_pairs(self.tags):
                self.cloud.delete_key_pair(key_pair)
        except (BakeError, KeyboardInterrupt) as error:
            raise self._leftover(error) from error
        self.notify(PhaseEnded(PHASE, self.clock() - start))

    def _end_instances(self, start: float) -> None:
        asked: set[str] = set()
        while True:
            nodes = self.cloud.nodes(self.tags)
            live = {node.id for node in nodes if node.is_live}
            unseen = set(self.known) - {node.id for node in nodes}
            if new := sorted((live | unseen) - asked):
                self.cloud.terminate(new)
                asked.update(new)
            elif all_ended(nodes) and self.clock() - start >= self.settle:
                return
            self._pause(start + PATIENCE, f"instances {', '.join(sorted(live | unseen))} to end")

    def _delete_groups(self, deadline: float) -> None:
        for group in self.cloud.groups(self.tags):
            while not self.cloud.delete_security_group(group.id):
                self._pause(deadline, f"security group {group.name} ({group.id}) to be free")

    def _pause(self, deadline: float, awaited: str) -> None:
        if self.clock() >= deadline:
            raise BakeError(f"waited {PATIENCE:.0f} s for {awaited}")
        self.sleep(PAUSE)

    def _leftover(self, error: BaseException) -> LeftoverError:
        why = str(error) or "interrupted"
        try:
            pieces = [
                f"instance {node.id} ({node.state})"
                for node in self.cloud.nodes(self.tags)
                if not ended(node)
            ]
            pieces += [f"security group {group.name} ({group.id})" for group in self.cloud.groups(self.tags)]
            pieces += [f"key pair {key_pair}" for key_pair in self.cloud.key_pairs(self.tags)]
        except (BakeError, KeyboardInterrupt):
            pieces = [f"instance {each}" for each in self.known]
        left = "; ".join(pieces) or f"whatever is tagged {Tag.CLUSTER}={self.name}"
        return LeftoverError(
            f"something may be left that costs money: {left}. The reason: {why}",
            hint=f"dask-bake down {self.name}",
        )


def ended(node: Node) -> bool:
    """True when the instance is no more."""
    return node.state == "terminated"


def all_ended(nodes: Iterable[Node]) -> bool:
    """True when none of them is left."""
    return all(map(ended, nodes))
