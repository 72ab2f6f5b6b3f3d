"""The lease on an image's digest: a security group in the cloud, so that two bakes of it anywhere are one."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from dask_bake.bake.plan import bake_name, verification_name
from dask_bake.clusters.naming import group_name, moment, ssh_rule
from dask_bake.clusters.teardown import SETTLE, TaggedResources, Teardown
from dask_bake.ec2.protocols import ClusterApi
from dask_bake.errors import BakeError, LeftoverError, merge_errors, unexpected
from dask_bake.events import Note, Notify
from dask_bake.hints import command_line
from dask_bake.models.cloud import Role
from dask_bake.models.ec2 import SecurityGroup, Subnet
from dask_bake.models.owner import Owner
from dask_bake.models.tags import Tag, Tags

POLL_INTERVAL = 2.0
LEASE_EXPIRY = 120.0
"""Seconds without any instance after which a lease expires, as its bake was killed."""


@dataclass
class _Made:
    """Record of the resources that a bake may have created under its lease, and of their removal."""

    group: SecurityGroup | None = None
    is_unclear: bool = False
    has_failed: bool = True
    is_cleared_up: bool = False


@dataclass(frozen=True)
class BakeLease:
    """A lease on an image's digest; while it is held, ``ls`` shows it as a cluster, and ``down`` ends it.

    Args:
        timeout: how many seconds another bake of the image is waited for.
    """

    cloud: ClusterApi
    digest: str
    bake_id: str
    owner: Owner
    timeout: float
    notify: Notify
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    @property
    def name(self) -> str:
        """The name for ``dask-bake down``; the lock is its security group, whose name is unique."""
        return bake_name(self.digest)

    @property
    def tags(self) -> Tags:
        """The tags of everything that this bake creates."""
        return (
            ("Name", group_name(self.name)),
            (Tag.MANAGED, "true"),
            (Tag.CLUSTER, self.name),
            (Tag.LAUNCH, self.bake_id),
            (Tag.ROLE, str(Role.HEAD)),
            *self.owner.tags,
        )

    @contextmanager
    def held(self, subnet: Subnet, callers: Sequence[str]) -> Iterator[SecurityGroup]:
        """Hold the lease: no other bake makes the image meanwhile, and at the end everything is removed.

        Raises:
            BakeError: when another bake of the image does not come to its end.
            LeftoverError: when something could not be removed.
        """
        made = _Made()
        try:
            try:
                group = self._take(subnet, made)
                self.cloud.authorize(group, tuple(ssh_rule(each) for each in callers))
                yield group
            except BaseException as error:
                self._clear_up(made, unexpected(error) if isinstance(error, Exception) else error)
                if isinstance(error, Exception) and not isinstance(error, BakeError):
                    raise unexpected(error, left="; nothing is left of the bake") from error
                raise
            made.has_failed = False
            self._clear_up(made)
        except KeyboardInterrupt as error:
            if made.is_cleared_up:
                raise
            raise merge_errors([each.leftover(error) for each in self._teardowns(made)]) from error

    def _clear_up(self, made: "_Made", reason: BaseException | None = None) -> None:
        """Remove what is tagged with this bake, and an interrupted verification, which has other tags."""
        left: list[LeftoverError] = []
        for teardown in self._teardowns(made):
            try:
                teardown.run()
            except LeftoverError as error:
                left.append(error)
        if left:
            raise merge_errors([*([reason] if isinstance(reason, BakeError) else []), *left])
        made.is_cleared_up = True

    def _teardowns(self, made: "_Made") -> list[Teardown]:
        verification = verification_name(self.digest)
        verifications = (
            {verification: {Tag.CLUSTER: verification}} if made.group is not None and made.has_failed else {}
        )
        return [
            Teardown(
                TaggedResources(self.cloud, name, tags),
                self.notify,
                self.clock,
                self.sleep,
                settle=SETTLE if made.is_unclear else 0.0,
            )
            for name, tags in {self.name: {Tag.LAUNCH: self.bake_id}, **verifications}.items()
        ]

    def _take(self, subnet: Subnet, made: "_Made") -> SecurityGroup:
        until = self.clock() + self.timeout
        is_waiting, holder, quiet_since = False, "", self.clock()
        while True:
            name, vpc = group_name(self.name), subnet.vpc_id
            # The time of its creation, not of this bake's start: it may have waited long for another bake.
            tags = (*self.tags, (Tag.CREATED, moment(self.now())))
            try:
                made.group = self.cloud.create_security_group(name, vpc_id=vpc, tags=tags)
            except BaseException as error:
                made.is_unclear = not isinstance(error, BakeError) or error.may_have_happened
                raise
            if made.group is not None:
                return made.group
            if not is_waiting:
                is_waiting = True
                self.notify(Note("Another bake of this image is running: waiting for it to end."))
            now_held_by = self._holder()
            if now_held_by != holder or self._is_alive():
                holder, quiet_since = now_held_by, self.clock()
            elif self.clock() - quiet_since >= LEASE_EXPIRY:
                if self.cloud.delete_security_group(holder):
                    self.notify(Note("The other bake has stopped: this one takes over."))
                quiet_since = self.clock()
            if self.clock() >= until:
                raise BakeError(
                    f"another bake of this image has been running for {self.timeout:.0f} s",
                    hint=f"if it was killed, {command_line('down', self.name)} removes its resources",
                )
            self.sleep(POLL_INTERVAL)

    def _holder(self) -> str:
        """Return the id of the security group that is the lease now."""
        return "".join(group.id for group in self.cloud.groups({Tag.CLUSTER: self.name}))

    def _is_alive(self) -> bool:
        names = (self.name, verification_name(self.digest))
        return any(node.is_live for name in names for node in self.cloud.nodes({Tag.CLUSTER: name}))
