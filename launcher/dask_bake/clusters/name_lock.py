"""The lock on a cluster's name in all VPCs of a region: EC2 keeps group names unique in one VPC only."""

from collections.abc import Callable
from dataclasses import dataclass

from dask_bake.clusters.naming import already_there
from dask_bake.ec2.protocols import ClusterQueries
from dask_bake.models.ec2 import SecurityGroup
from dask_bake.models.owner import Owner, tagged_owners
from dask_bake.models.tags import Tag

WITHDRAWAL, POLL_INTERVAL = 15.0, 0.5
"""Seconds to wait for the groups of launches that have to withdraw, and between two look-ups."""


@dataclass(frozen=True)
class NameLock:
    """The lock on a cluster's name that a launch holds by its security group.

    Launches of one name in two VPCs both create a group. Each then looks for groups of the other, so at least
    the later one finds both. The launch whose group has the lower id keeps the name, the other withdraws.

    Args:
        group: the launch's group.
        ended: groups of the ended cluster of that name, which EC2 may list although they were deleted.
    """

    edge: ClusterQueries
    name: str
    group: SecurityGroup
    caller: Owner
    ended: tuple[SecurityGroup, ...] = ()

    def rivals(self) -> tuple[SecurityGroup, ...]:
        """Return the groups by which launches in other VPCs hold the name."""
        found = self.edge.groups({Tag.MANAGED: "true", Tag.CLUSTER: self.name}, name=self.group.name)
        ended = {group.id for group in self.ended}
        return tuple(each for each in found if each.vpc_id != self.group.vpc_id and each.id not in ended)

    def keep(
        self,
        rivals: tuple[SecurityGroup, ...],
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        """Wait until the rivals have withdrawn; one that does not had looked before this launch came.

        Raises:
            BakeError: if a rival keeps the name.
        """
        deadline = clock() + WITHDRAWAL
        while rivals:
            if min(each.id for each in rivals) < self.group.id or clock() >= deadline:
                raise already_there(self.name, tagged_owners(each.tags for each in rivals), self.caller)
            sleep(POLL_INTERVAL)
            rivals = self.rivals()
