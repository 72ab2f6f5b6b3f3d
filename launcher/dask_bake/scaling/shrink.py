"""End worker nodes without a loss: the scheduler empties them, then EC2 ends them; else they work again."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from dask_bake.clusters.teardown import AGAIN
from dask_bake.ec2.protocols import ScaleApi
from dask_bake.errors import BakeError, LeftoverError, TransientError
from dask_bake.events import Note, Notify, phase_of
from dask_bake.hints import cluster_command
from dask_bake.models.cluster import Node
from dask_bake.models.tags import Tag
from dask_bake.scaling.lock import ScaleLock
from dask_bake.scaling.plan import ScalePlan
from dask_bake.scaling.retirement import Retirement

LOOK_INTERVAL = 0.5
REPORT_AFTER, REPORT_INTERVAL = 10.0, 60.0
"""Seconds after which the user reads what a node still has to do, and between two such notes."""
ENDING_TIMEOUT = 120.0
"""Seconds for EC2 to begin to end nodes that it has promised to end."""
STALE = 15.0
"""Seconds after which the scheduler is told to forget workers of nodes that are ending."""


def shrink(
    plan: ScalePlan,
    cloud: ScaleApi,
    retirement: Retirement | None,
    lock: ScaleLock,
    *,
    notify: Notify,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> None:
    """End the plan's nodes once they have nothing to lose; before that, an error lets them work again.

    Args:
        retirement: the scheduler; ``None`` for a cluster without Dask.

    Raises:
        BakeError: if no node was ended.
        LeftoverError: if nodes may be left that were to be ended.
    """
    run = _Shrinking(plan, cloud, retirement, lock, notify, clock, sleep)
    try:
        run.drain()
        run.request_end()
    except BaseException:
        run.undo()
        raise
    run.finish()


@dataclass
class _Shrinking:
    """A removal of nodes in progress."""

    plan: ScalePlan
    cloud: ScaleApi
    retirement: Retirement | None
    lock: ScaleLock
    notify: Notify
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    may_have_tagged: bool = False
    is_draining: bool = False
    ended: set[str] = field(default_factory=set)

    @property
    def ids(self) -> list[str]:
        """Ids of the nodes to end."""
        return [node.id for node in self.plan.retire]

    @property
    def hosts(self) -> list[str]:
        """Their private addresses, which name their workers."""
        return [node.private_address for node in self.plan.retire]

    def drain(self) -> None:
        """Empty the nodes, for as long as their tasks take."""
        if self.retirement is None or not self.hosts:
            return
        with phase_of("draining", self.notify, self.clock):
            self.lock.check()
            self.is_draining = True
            self.retirement.drain(self.hosts)
            noted = self.clock() + REPORT_AFTER - REPORT_INTERVAL
            while not (remaining := self.retirement.look()).is_empty:
                if remaining.failed:
                    raise self._cannot_leave(remaining.failed)
                if self.clock() >= noted + REPORT_INTERVAL:
                    noted = self.clock()
                    self.notify(Note(self._waiting_for(remaining.left)))
                self.lock.check()
                self.sleep(LOOK_INTERVAL)

    def request_end(self) -> None:
        """Write the new number of nodes, and ask EC2 to end those that are to leave."""
        if not self.ids:
            self._write(self.plan.wanted)
            return
        self.lock.check()
        if self.retirement is not None:
            kept = self.retirement.end()
            if not kept.is_empty:
                raise self._cannot_leave(kept.failed or "they were given work meanwhile")
        self.may_have_tagged = True
        self._write(self.plan.wanted)
        try:
            self.cloud.terminate(self.ids)
        except BaseException as error:
            if isinstance(error, BakeError) and not isinstance(error, TransientError):
                raise
            # EC2 may have ended them, and what they had is elsewhere already: go on, so that none is left.
            self._end_again(error)

    def undo(self) -> None:
        """Let the nodes work again, and write the number of nodes as it was."""
        gone = [node.private_address for node in self.plan.retire if node.id in self.ended]
        if self.is_draining and self.retirement is not None:
            with suppress(BakeError):  # they work again by themselves, as nobody looks
                self.retirement.forget(gone)
        if self.may_have_tagged:
            with suppress(BakeError):
                self._write(self.plan.there - len(gone) if gone else self.plan.cluster.size)

    def finish(self) -> None:
        """Wait until EC2 is ending the nodes and the scheduler has forgotten their workers.

        An interrupt ends the wait: nothing is left to decide.
        """
        if not self.ids:
            return
        with phase_of("ending nodes", self.notify, self.clock):
            try:
                self._wait_for_end()
                self._wait_for_scheduler()
            except KeyboardInterrupt as error:
                if left := self._still_up():
                    raise self._leftover(left, "interrupted") from error
                self.notify(Note("Interrupted; EC2 is ending the nodes already."))
            if self.retirement is not None:
                with suppress(BakeError):  # it forgets them when their connections break
                    self.retirement.forget(self.hosts)

    def _end_again(self, error: BaseException) -> None:
        """Ask EC2 a second time, after an answer that does not say whether it ends the nodes."""
        try:
            self.cloud.terminate(self.ids)
        except (BakeError, KeyboardInterrupt):
            left = self._still_up()
            if not self.ended:
                raise error from None
            if left:
                raise self._leftover(left, str(error) or "interrupted") from error

    def _wait_for_end(self) -> None:
        began = asked = self.clock()
        while left := self._still_up():
            if self.clock() >= began + ENDING_TIMEOUT:
                raise self._leftover(left, f"EC2 has not begun to end them within {ENDING_TIMEOUT:.0f} s")
            if self.clock() >= asked + AGAIN:
                asked = self.clock()
                with suppress(TransientError):
                    self.cloud.terminate([node.id for node in left])
            self.sleep(LOOK_INTERVAL)

    def _wait_for_scheduler(self) -> None:
        deadline = self.clock() + STALE
        with suppress(BakeError):
            while self.retirement is not None and self.clock() < deadline:
                if not self.retirement.count(self.hosts):
                    return
                self.sleep(LOOK_INTERVAL)

    def _still_up(self) -> tuple[Node, ...]:
        """Return the nodes that EC2 is not ending; all that are not known to be, if it does not answer."""
        tags = {Tag.MANAGED: "true", Tag.CLUSTER: self.plan.cluster.name}
        try:
            found = {node.id: node for node in self.cloud.nodes(tags)}
        except TransientError:
            return tuple(node for node in self.plan.retire if node.id not in self.ended)
        self.ended |= {key for key in self.ids if key in found and not found[key].is_live}
        return tuple(node for node in self.plan.retire if node.id in found and node.id not in self.ended)

    def _write(self, count: int) -> None:
        head = self.plan.cluster.head
        if head is not None:
            self.cloud.tag([head.id], ((Tag.COUNT, str(count)),))

    def _waiting_for(self, left: Mapping[str, int]) -> str:
        busy = [node.index for node in self.plan.retire if left.get(node.private_address)]
        numbers = ", ".join(map(str, sorted(busy)))
        return f"Waiting for the tasks and results of node {numbers} to be done and moved; Ctrl-C keeps it."

    def _cannot_leave(self, why: str) -> BakeError:
        name = self.plan.cluster.name
        numbers = ", ".join(str(node.index) for node in self.plan.retire)
        return BakeError(
            f"cluster {name} keeps its {self.plan.there} nodes, as node {numbers} cannot leave"
            f" without a loss: {why}",
            hint=f"release results that are not needed any more, or keep more nodes;"
            f" {cluster_command('ui', name)} shows the memory of the workers",
        )

    def _leftover(self, left: Sequence[Node], why: str) -> LeftoverError:
        name = self.plan.cluster.name
        nodes = "; ".join(f"instance {node.id} ({node.state})" for node in left)
        return LeftoverError(
            f"nodes were to be ended and may still run, which costs money: {nodes}. The reason: {why}",
            hint=cluster_command("scale", name, "--count", str(self.plan.wanted)),
        )
