"""The right to make one image: held in the cloud, so that two bakes of it anywhere are one bake."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from dask_bake.bake_plan import claim_name, proof_name
from dask_bake.edges import CloudEdge
from dask_bake.errors import BakeError, LeftoverError
from dask_bake.events import Note, Notify
from dask_bake.models import Role, SecurityGroup, Subnet, Tag, Tags
from dask_bake.own_commands import own_command
from dask_bake.plan import group_name, moment, ssh_rule
from dask_bake.removal import Removal

LOOK = 2.0
ABANDONED = 120.0
"""Seconds without any instance after which a claim is nobody's: its bake was killed."""


@dataclass(frozen=True)
class Claim:
    """What a bake needs to claim an image's digest; what it makes is a cluster to ``ls`` and ``down``.

    Args:
        timeout: how many seconds another bake of the image is waited for.
        flags: those by which the command line chose the cloud, for hints.
    """

    cloud: CloudEdge
    digest: str
    bake_id: str
    timeout: float
    notify: Notify
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    flags: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What ``dask-bake down`` knows it by; its security group can exist only once, and that locks."""
        return claim_name(self.digest)

    @property
    def tags(self) -> Tags:
        """The tags of everything that this bake makes."""
        return (
            ("Name", group_name(self.name)),
            (Tag.MANAGED, "true"),
            (Tag.CLUSTER, self.name),
            (Tag.LAUNCH, self.bake_id),
            (Tag.ROLE, str(Role.HEAD)),
        )

    @contextmanager
    def held(self, subnet: Subnet, caller: str) -> Iterator[SecurityGroup]:
        """While this lasts, nobody else makes the image; at the end nothing is left of what made it.

        Raises:
            BakeError: when another bake of the image does not come to its end.
            LeftoverError: when something could not be removed.
        """
        is_mine = False
        try:
            group = self._take(subnet)
            is_mine = True
            self.cloud.authorize(group, (ssh_rule(caller),))
            yield group
        except BakeError as error:
            try:
                self._clear_up(with_proof=is_mine)
            except LeftoverError as left:
                raise LeftoverError(f"{error.message}\n{left.message}", hint=left.hint) from error
            raise
        except BaseException:
            self._clear_up(with_proof=is_mine)
            raise
        self._clear_up(with_proof=False)

    def _clear_up(self, *, with_proof: bool) -> None:
        """What is tagged with this bake goes, and a proof that was cut short, which has tags of its own."""
        proof = proof_name(self.digest)
        proofs = {proof: {Tag.CLUSTER: proof}} if with_proof else {}
        left: list[LeftoverError] = []
        for name, tags in {self.name: {Tag.LAUNCH: self.bake_id}, **proofs}.items():
            try:
                Removal(self.cloud, name, tags, self.notify, self.clock, self.sleep, flags=self.flags).run()
            except LeftoverError as error:
                left.append(error)
        if left:
            message = "\n".join(error.message for error in left)
            raise LeftoverError(message, hint="; ".join(filter(None, (error.hint for error in left))))

    def _take(self, subnet: Subnet) -> SecurityGroup:
        until = self.clock() + self.timeout
        told, holder, quiet_since = False, "", self.clock()
        while True:
            name, vpc = group_name(self.name), subnet.vpc_id
            # When it is made, and not when this bake began: it may have waited long for another.
            tags = (*self.tags, (Tag.CREATED, moment(self.now())))
            group = self.cloud.create_security_group(name, vpc_id=vpc, tags=tags)
            if group is not None:
                return group
            if not told:
                told = True
                self.notify(Note("Another bake of this image is going on: waiting for it to end."))
            now_held_by = self._holder()
            if now_held_by != holder or self._is_alive():
                holder, quiet_since = now_held_by, self.clock()
            elif self.clock() - quiet_since >= ABANDONED:
                self.notify(Note("That bake was abandoned: going on in its place."))
                self.cloud.delete_security_group(holder)
            if self.clock() >= until:
                raise BakeError(
                    f"another bake of this image has gone on for {self.timeout:.0f} s",
                    hint="if it was killed,"
                    f" {own_command('down', self.name, flags=self.flags)} ends what it left",
                )
            self.sleep(LOOK)

    def _holder(self) -> str:
        """The id of the group that is the claim now."""
        return "".join(group.id for group in self.cloud.groups({Tag.CLUSTER: self.name}))

    def _is_alive(self) -> bool:
        names = (self.name, proof_name(self.digest))
        return any(node.is_live for name in names for node in self.cloud.nodes({Tag.CLUSTER: name}))
