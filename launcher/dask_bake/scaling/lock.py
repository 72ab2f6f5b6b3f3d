"""The lock on a cluster's size, a security group of a unique name: one process changes it at a time."""

import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

from dask_bake.clusters.naming import group_name, moment
from dask_bake.ec2.protocols import ClusterApi
from dask_bake.errors import BakeError, TransientError
from dask_bake.events import Note, Notify
from dask_bake.hints import cluster_command
from dask_bake.models.cluster import Cluster
from dask_bake.models.ec2 import SecurityGroup
from dask_bake.models.owner import Owner, shown, tagged_owners
from dask_bake.models.tags import Tag

POLL_INTERVAL = 2.0
BEAT_INTERVAL = 20.0
"""Seconds between two signs of life, each of which is a new time in the group's tags."""
EXPIRY = 120.0
"""Seconds without a sign of life after which a lock is abandoned: the process that held it was killed."""


def lock_name(cluster: str) -> str:
    """Return the name of the security group that locks a cluster's size; no cluster's name has a ``/``."""
    return f"{group_name(cluster)}/scale"


@dataclass
class ScaleLock:
    """A lock on the size of a cluster; ``down`` removes it with the cluster's other groups.

    Args:
        timeout: how many seconds to wait for another process that holds it.
        now: the wall clock, for the tag.
    """

    cloud: ClusterApi
    cluster: Cluster
    owner: Owner
    timeout: float
    notify: Notify
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    token: str = field(default_factory=lambda: secrets.token_hex(6))
    _is_lost: threading.Event = field(default_factory=threading.Event, init=False)

    @contextmanager
    def held(self) -> Iterator["ScaleLock"]:
        """Hold the lock.

        Raises:
            BakeError: if another process holds it for too long.
        """
        group = self._take()
        ended = threading.Event()
        threading.Thread(target=self._beat, args=(group, ended), name="dask-bake lock", daemon=True).start()
        try:
            yield self
        finally:
            ended.set()
            self._release(group)

    def check(self) -> None:
        """Raise if the lock is not held any more, before a request that changes something."""
        if self._is_lost.is_set():
            raise BakeError(
                f"the lock on the size of cluster {self.cluster.name} is gone: the cluster was ended, or this"
                " machine slept and another process took over",
                hint=f"{cluster_command('status', self.cluster.name)} shows the cluster",
            )

    def _take(self) -> SecurityGroup:
        until, seen, seen_since, is_waiting = self.clock() + self.timeout, "", self.clock(), False
        while True:
            if (group := self._create()) is not None:
                return group
            holder = self._holder()
            if holder is not None:
                beat = f"{holder.id} {dict(holder.tags).get(Tag.CREATED, '')}"
                if beat != seen:
                    seen, seen_since = beat, self.clock()
                elif self.clock() - seen_since >= EXPIRY:
                    if self.cloud.delete_security_group(holder.id):
                        self.notify(Note("The process that held the lock on the size has stopped."))
                    continue
            if self.clock() >= until:
                raise self._is_taken(holder)
            if not is_waiting:
                is_waiting = True
                self.notify(Note("Another process changes the size of this cluster: waiting for it to end."))
            self.sleep(POLL_INTERVAL)

    def _create(self) -> SecurityGroup | None:
        name = self.cluster.name
        vpc = next((group.vpc_id for group in self.cluster.groups if group.name == group_name(name)), "")
        if not vpc:
            raise BakeError(
                f"cluster {name} has no security group {group_name(name)}: it is being ended",
                hint=f"{cluster_command('status', name)} shows it",
            )
        tags = (
            ("Name", lock_name(name)),
            (Tag.MANAGED, "true"),
            (Tag.CLUSTER, name),
            (Tag.LAUNCH, self.token),  # not the cluster's: EC2 refuses a name that is taken, to its owner too
            (Tag.CREATED, moment(self.now())),
            *self.owner.tags,
        )
        try:
            return self.cloud.create_security_group(lock_name(name), vpc_id=vpc, tags=tags)
        except BaseException as error:
            if not isinstance(error, BakeError) or error.may_have_happened:
                self._release_unknown()
            raise

    def _holder(self) -> SecurityGroup | None:
        name = self.cluster.name
        found = self.cloud.groups({Tag.MANAGED: "true", Tag.CLUSTER: name}, name=lock_name(name))
        return found[0] if found else None

    def _is_taken(self, holder: SecurityGroup | None) -> BakeError:
        owner = shown(tagged_owners([holder.tags])) if holder is not None else ""
        return BakeError(
            f"the size of cluster {self.cluster.name} is being changed by another process"
            f"{f' of {owner}' if owner else ''}",
            hint=f"wait until it has ended: {cluster_command('status', self.cluster.name)} shows the cluster",
        )

    def _beat(self, group: SecurityGroup, ended: threading.Event) -> None:
        """Renew the group's time until the lock is released; a group that is gone is a lock that is lost."""
        while not ended.wait(BEAT_INTERVAL):
            try:
                self.cloud.tag([group.id], ((Tag.CREATED, moment(self.now())),))
            except TransientError:
                continue
            except BakeError:
                self._is_lost.set()
                return

    def _release(self, group: SecurityGroup) -> None:
        """Delete the group; if that fails, the lock is abandoned, and expires."""
        with suppress(BakeError):
            self.cloud.delete_security_group(group.id)

    def _release_unknown(self) -> None:
        """Delete the group that an attempt without an answer may have made."""
        with suppress(BakeError):
            holder = self._holder()
            if holder is not None and dict(holder.tags).get(Tag.LAUNCH) == self.token:
                self._release(holder)
