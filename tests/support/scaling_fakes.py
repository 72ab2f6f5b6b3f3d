"""A scheduler that is asked when nodes are ended, without SSH and without Dask."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from dask_bake.scaling.plan import NodeLoad
from dask_bake.scaling.retirement import Remaining


@dataclass
class FakeRetirement:
    """A scheduler whose nodes have one task fewer at each look.

    Args:
        tasks: tasks of each node, by its private address.
        failed: why nodes cannot leave.
        before: called with the name of each request before it is answered.
    """

    tasks: dict[str, int] = field(default_factory=dict)
    holds: Mapping[str, str] = field(default_factory=dict)
    failed: str = ""
    before: Callable[[str], None] = lambda _: None
    calls: list[str] = field(default_factory=list)
    leaving: tuple[str, ...] = ()
    forgotten: tuple[str, ...] = ()
    closed: bool = False

    def loads(self) -> Mapping[str, NodeLoad]:
        self._called("loads")
        return {
            host: NodeLoad(1, tasks=number, occupancy=float(number), holds=self.holds.get(host, ""))
            for host, number in self.tasks.items()
        }

    def drain(self, hosts: Sequence[str]) -> None:
        self._called("drain")
        self.leaving = tuple(hosts)

    def look(self) -> Remaining:
        self._called("look")
        left = {host: self.tasks.get(host, 0) for host in self.leaving}
        self.tasks |= {host: max(0, number - 1) for host, number in left.items()}
        return Remaining(left, self.failed)

    def end(self) -> Remaining:
        self._called("end")
        return Remaining({host: self.tasks.get(host, 0) for host in self.leaving}, self.failed)

    def count(self, hosts: Sequence[str]) -> int:
        self._called("count")
        return 0

    def forget(self, hosts: Sequence[str]) -> None:
        self._called("forget")
        self.forgotten, self.leaving = tuple(hosts), ()

    def close(self) -> None:
        self.closed = True

    def _called(self, name: str) -> None:
        self.calls.append(name)
        self.before(name)
