"""What a launch can leave: its resources, as the cloud describes them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from dask_bake.models.cloud import Role
from dask_bake.models.ec2 import SecurityGroup
from dask_bake.models.tags import Tag, Tags


class ResourceKind(StrEnum):
    """What a resource is, in the order in which resources are shown."""

    INSTANCE = "instance"
    VOLUME = "volume"
    INTERFACE = "network interface"
    GROUP = "security group"
    KEY_PAIR = "key pair"


GRACE_PERIOD = timedelta(minutes=15)
"""How long nothing may have been made or ended before a launch is taken to be over.

A launch asks for its head seconds after it made its group. Its clock and the clock here may differ by 10
minutes: AWS answers nobody whose clock is off by more than 5.
"""
ENDED = ("terminated", "shutting-down")
UNATTACHED = "available"
"""The state of a volume or an interface that no instance has; one that is attached goes with its instance."""


def creation_time(tags: Tags) -> datetime | None:
    """When the launch began, as its tag says."""
    try:
        told = datetime.fromisoformat(dict(tags).get(Tag.CREATED, ""))
    except ValueError:
        return None
    return told if told.tzinfo else told.replace(tzinfo=UTC)


def are_left_over(groups: Iterable[SecurityGroup], now: datetime) -> bool:
    """Whether groups without a live node are old enough to be what a cluster left when it ended."""
    begun = [creation_time(group.tags) for group in groups]
    return bool(begun) and all(each is not None and now - each >= GRACE_PERIOD for each in begun)


@dataclass(frozen=True)
class Resource:
    """Something in the cloud that may cost or hold a name.

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
        """The cluster that it was made for."""
        return dict(self.tags).get(Tag.CLUSTER, "")

    @property
    def launch_id(self) -> str:
        """The launch that made it."""
        return dict(self.tags).get(Tag.LAUNCH, "")

    @property
    def is_ours(self) -> bool:
        """True when a launch or a bake of dask-bake's made it."""
        return dict(self.tags).get(Tag.MANAGED) == "true" and bool(self.cluster and self.launch_id)

    @property
    def is_head(self) -> bool:
        """True for an instance that runs a scheduler, or on which an image is baked."""
        return self.kind is ResourceKind.INSTANCE and dict(self.tags).get(Tag.ROLE) == Role.HEAD

    @property
    def exists(self) -> bool:
        """True when it is there, and does not go of itself."""
        match self.kind:
            case ResourceKind.INSTANCE:
                return self.state not in ENDED
            case ResourceKind.VOLUME | ResourceKind.INTERFACE:
                return self.state == UNATTACHED
        return True

    @property
    def activity(self) -> tuple[datetime, ...]:
        """When somebody last did something about it, as far as that is known."""
        return tuple(each for each in (self.created, self.ended) if each is not None)

    def __str__(self) -> str:
        """What a message calls it."""
        if self.kind is ResourceKind.KEY_PAIR:
            return f"{self.kind} {self.name}"
        return f"{self.kind} {self.name} ({self.id})" if self.name else f"{self.kind} {self.id}"
