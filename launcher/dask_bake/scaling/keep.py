"""Keep a cluster's size: worker nodes that EC2 has ended are replaced, as long as a client is connected."""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from dask_bake.clusters.condition import LISTED, POWERED_OFF
from dask_bake.clusters.inventory import assemble
from dask_bake.ec2.protocols import ScaleApi
from dask_bake.errors import BakeError, NoClusterError, TransientError
from dask_bake.models.cloud import Cloud, Role
from dask_bake.models.cluster import Cluster, Node, number_of
from dask_bake.models.tags import Tag
from dask_bake.scaling.plan import live_workers
from dask_bake.scaling.scale import Scaling
from dask_bake.ssh.connect import is_callers

LOOK_INTERVAL = 3.0
"""Seconds between two looks at EC2, each of which is one request."""
CONFIRM_INTERVAL = 1.0
"""Seconds from the look at which nodes are missing first to the one that confirms it."""
POWERED_OFF_PAUSE = 60.0
"""Seconds to wait for the head to end too: a cluster that shuts itself down powers off its workers first."""
TIMEOUT = 120
"""Seconds for a replacement to join; less than another process waits for the lock."""
RETRY, LONGEST_RETRY = 30.0, 600.0
"""Seconds after a refusal, such as missing capacity, until the next attempt; doubled each time."""
AT_ONCE = timedelta(minutes=10)
"""Age under which a replacement that ends has ended at once."""
MOST_ATTEMPTS = 3
"""Replacements that end at once, one after another, before no more are started."""
STOP_TIMEOUT = 60.0


def missing(cluster: Cluster) -> int:
    """Return the number of worker nodes by which the cluster is smaller than it should be."""
    if cluster.head is None or cluster.head.state != "running":
        return 0
    return max(0, cluster.size - 1 - len(live_workers(cluster)))


def attempt(cluster: Cluster, now: datetime) -> int:
    """Return the number of the next attempt to replace a node: 1, or more if replacements ended at once."""
    return 1 + max((_number(node) for node in _short_lived(cluster, now)), default=0)


def allowed_from(cluster: Cluster, now: datetime) -> datetime:
    """Return the time from which nodes may be replaced.

    It is the later, the more replacements have ended at once; after ``MOST_ATTEMPTS``, it is when EC2 does
    not list them any more.
    """
    lived = _short_lived(cluster, now)
    if not lived:
        return now
    last = max(_end(node, now) for node in lived)
    failed = attempt(cluster, now) - 1
    if failed >= MOST_ATTEMPTS:
        return last + LISTED
    return last + timedelta(seconds=RETRY * 4 ** (failed - 1))


def has_given_up(cluster: Cluster, now: datetime) -> bool:
    """Return whether so many replacements have ended at once that no more are started for now."""
    return attempt(cluster, now) > MOST_ATTEMPTS


def sentence(cluster: Cluster, now: datetime) -> str:
    """Return who keeps the cluster's size; "" if nobody does."""
    if not cluster.keeps_size:
        return ""
    if has_given_up(cluster, now):
        until = allowed_from(cluster, now)
        return (
            f"Nodes that replaced others ended at once {MOST_ATTEMPTS} times, one after another:"
            f" no more are started before {until:%H:%M} UTC."
        )
    return (
        "Nodes that EC2 ends are replaced while its owner is connected, by BakeCluster, connect() or"
        " dask-bake connect."
    )


def _short_lived(cluster: Cluster, now: datetime) -> list[Node]:
    """Return the replacements that ended at once, and that EC2 still lists."""
    ended = [node for node in (*cluster.workers, *cluster.gone) if not node.is_up and _number(node)]
    return [
        node
        for node in ended
        if node.role is Role.WORKER
        and _end(node, now) - node.launched < AT_ONCE
        and now - _end(node, now) < LISTED
    ]


def _number(node: Node) -> int:
    return number_of(dict(node.tags).get(Tag.REPLACEMENT, "0"))


def _end(node: Node, now: datetime) -> datetime:
    return node.ended or now


def start_keeper(
    cluster: Cluster, cloud: Cloud, ec2: ScaleApi, warn: Callable[[str], None]
) -> "Keeper | None":
    """Return a keeper that runs, if the cluster keeps its size and is the caller's; else ``None``."""
    if not (cluster.keeps_size and is_callers(cluster, cloud, ec2)):
        return None
    keeper = Keeper(cluster, cloud, ec2, warn)
    keeper.start()
    return keeper


@dataclass
class Keeper:
    """A thread that keeps one cluster's size until it is stopped, or the cluster has ended.

    Any number of keepers may run: each change is made under the cluster's lock, and decided by what EC2
    describes then. The size is the one that the last launch or scale asked for.

    Args:
        warn: called with a sentence when nodes cannot be replaced, once for each reason.
        make_scaling: returns the change of size; its number of nodes is read under the lock.
        interval: seconds between two looks.
    """

    cluster: Cluster
    cloud: Cloud
    ec2: ScaleApi
    warn: Callable[[str], None]
    make_scaling: Callable[..., Scaling] = Scaling
    interval: float = LOOK_INTERVAL
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    _stop: threading.Event = field(default_factory=threading.Event, init=False)
    _thread: threading.Thread | None = field(default=None, init=False)
    _warned: str = field(default="", init=False)
    _missing_since: float | None = field(default=None, init=False)
    _retry: float = field(default=RETRY, init=False)
    _not_before: float = field(default=0.0, init=False)

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, name="dask-bake keeper", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop; a replacement in progress is undone first. A second call does nothing."""
        self._stop.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(STOP_TIMEOUT)

    def look(self) -> bool:
        """Look at the cluster once, and replace what has been missing; return whether it is still there."""
        try:
            seen = self._seen()
        except TransientError:
            return True
        except BakeError as error:
            self._refused(error)
            return True
        if not any(node.is_live for node in seen.nodes):
            return False
        if not self._is_due(seen):
            return True
        try:
            self._scaling(seen).restore(seen.launch_id, attempt(seen, self.now()))
        except NoClusterError:
            return False
        except BakeError as error:
            if self._is_gone():
                return False
            self._refused(error)
        else:
            self._retry, self._missing_since, self._warned = RETRY, None, ""
        return True

    def _run(self) -> None:
        try:
            while not self._stop.wait(self._pause):
                if not self.look():
                    return
        except KeyboardInterrupt:  # by _sleep: it was stopped, and has undone what it had begun
            return

    @property
    def _pause(self) -> float:
        """Seconds until the next look."""
        since = self._missing_since
        is_new = since is not None and self.clock() - since < CONFIRM_INTERVAL
        return min(CONFIRM_INTERVAL, self.interval) if is_new else self.interval

    def _sleep(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            self._stop.clear()  # the clean-up after the interrupt can pause
            raise KeyboardInterrupt

    def _seen(self) -> Cluster:
        name, launch = self.cluster.name, self.cluster.launch_id
        wanted = {Tag.MANAGED: "true", Tag.CLUSTER: name, Tag.LAUNCH: launch}
        seen = assemble(name, self.ec2.nodes(wanted), self.cluster.groups, self.cloud)
        return replace(seen, launch_id=launch)

    def _is_gone(self) -> bool:
        try:
            return not any(node.is_up for node in self._seen().nodes)
        except BakeError:
            return False

    def _is_due(self, seen: Cluster) -> bool:
        """Return whether nodes have been missing long enough, and may be replaced now."""
        if not missing(seen):
            self._missing_since = None
            return False
        if self._missing_since is None:
            self._missing_since = self.clock()
            return False
        waits = POWERED_OFF_PAUSE if _have_powered_off((*seen.workers, *seen.gone), self.now()) else 0.0
        if self.clock() - self._missing_since < waits or self.clock() < self._not_before:
            return False
        if has_given_up(seen, self.now()):
            self._say(sentence(seen, self.now()))
        return self.now() >= allowed_from(seen, self.now())

    def _scaling(self, seen: Cluster) -> Scaling:
        return self.make_scaling(
            seen.name, seen.size, self.cloud, self.ec2, timeout=TIMEOUT, sleep=self._sleep
        )

    def _refused(self, error: BakeError) -> None:
        self._not_before = self.clock() + self._retry
        self._retry = min(2 * self._retry, LONGEST_RETRY)
        self._say(f"Nodes of cluster {self.cluster.name} are not replaced now: {error.message}")

    def _say(self, text: str) -> None:
        if text != self._warned:
            self._warned = text
            self.warn(text)


def _have_powered_off(nodes: Iterable[Node], now: datetime) -> bool:
    """Return whether a worker node has powered itself off lately, as all do when their cluster ends."""
    return any(
        node.role is Role.WORKER
        and not node.is_up
        and node.state_reason.startswith(POWERED_OFF)
        and now - _end(node, now) < timedelta(minutes=5)
        for node in nodes
    )
