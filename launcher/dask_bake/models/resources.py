"""Resources that a launch can leave behind, as EC2 describes them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from dask_bake.models.cloud import Role
from dask_bake.models.ec2 import SecurityGroup
from dask_bake.models.tags import Tag, Tags


class ResourceKind(StrEnum):
    """A kind of resource, in the order in which they are shown."""

    INSTANCE = "instance"
    VOLUME = "volume"
    INTERFACE = "network interface"
    GROUP = "security group"
    KEY_PAIR = "key pair"


GRACE_PERIOD = timedelta(minutes=15)
"""Time without any creation or termination after which a launch counts as over.

A launch requests its head seconds after it has created its security group. Its clock and the clock here may
differ by 10 minutes, as AWS rejects requests from a clock that is off by more than 5.
"""
ENDED = ("terminated", "shutting-down")
UNATTACHED = "available"
"""State of a volume or interface without an instance; an attached one is deleted with its instance."""


def creation_time(tags: Tags) -> datetime | None:
    """Return the time in the tag ``dask-bake:created``; ``None`` without one that is valid."""
    try:
        created = datetime.fromisoformat(dict(tags).get(Tag.CREATED, ""))
    except ValueError:
        return None
    return created if created.tzinfo else created.replace(tzinfo=UTC)


def are_left_over(groups: Iterable[SecurityGroup], now: datetime) -> bool:
    """Return whether groups of a cluster without a live node are old enough to be left over."""
    begun = [creation_time(group.tags) for group in groups]
    return bool(begun) and all(each is not None and now - each >= GRACE_PERIOD for each in begun)


@dataclass(frozen=True)
class Resource:
    """A resource that can cost money or block a name.

    Args:
        name: what it is removed by where that is not its id, and what people know it by.
        created: when it was made, as far as that is known.
        ended: when it ended, for an instance that did.
        type: of an instance or of a volume.
        size: of a volume, in GiB.
    """

    kind: ResourceKind
    id: str
    tags: Tags
    state: str = ""
    name: str = ""
    created: datetime | None = None
    ended: datetime | None = None
    type: str = ""
    size: int = 0
    is_spot: bool = False

    @property
    def cluster(self) -> str:
        """The name of the cluster that it belongs to."""
        return dict(self.tags).get(Tag.CLUSTER, "")

    @property
    def launch_id(self) -> str:
        """The id of the launch that created it."""
        return dict(self.tags).get(Tag.LAUNCH, "")

    @property
    def is_ours(self) -> bool:
        """True if a launch or a bake created it."""
        return dict(self.tags).get(Tag.MANAGED) == "true" and bool(self.cluster and self.launch_id)

    @property
    def is_head(self) -> bool:
        """True for an instance that runs a scheduler, or on which an image is baked."""
        return self.kind is ResourceKind.INSTANCE and dict(self.tags).get(Tag.ROLE) == Role.HEAD

    @property
    def exists(self) -> bool:
        """True if it exists and does not disappear by itself."""
        match self.kind:
            case ResourceKind.INSTANCE:
                return self.state not in ENDED
            case ResourceKind.VOLUME | ResourceKind.INTERFACE:
                return self.state == UNATTACHED
        return True

    @property
    def activity(self) -> tuple[datetime, ...]:
        """The known times of its creation and its end."""
        return tuple(each for each in (self.created, self.ended) if each is not None)

    def __str__(self) -> str:
        """Return its kind, name and id for messages."""
        if self.kind is ResourceKind.KEY_PAIR:
            return f"{self.kind} {self.name}"
        return f"{self.kind} {self.name} ({self.id})" if self.name else f"{self.kind} {self.id}"
