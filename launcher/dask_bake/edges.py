"""What launching and taking down need of the world: the shapes of ``ec2``, ``way_in`` and their fakes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from dask_bake.errors import BakeError
from dask_bake.models import Image, InstanceSpec, Node, SecurityGroup, Subnet, Tags


class UnclearError(BakeError):
    """EC2 did not answer: whether it did what it was asked is not known."""


@dataclass(frozen=True)
class InstanceType:
    """A kind of instance; ``architectures`` are EC2's names, of which some are not for images of ours."""

    name: str
    vcpus: int
    architectures: tuple[str, ...]


class LookUps(Protocol):
    """The part of EC2 that is asked before a launch is planned."""

    def find_images(
        self, *, owners: Sequence[str], filters: Mapping[str, str | Sequence[str]]
    ) -> tuple[Image, ...]:
        """The images that match, newest first."""

    def image(self, image_id: str) -> Image:
        """The image of that id."""

    def instance_type(self, name: str) -> InstanceType:
        """The instance type of that name."""

    def default_subnet(self) -> Subnet:
        """The subnet to launch into."""


class CloudEdge(Protocol):
    """The part of EC2 that a cluster is made of."""

    def create_security_group(self, name: str, *, vpc_id: str, tags: Tags) -> SecurityGroup | None:
        """The new group, or ``None`` when the name is taken."""

    def authorize(self, group: SecurityGroup, *, caller: str, members: bool = True) -> None:
        """Opens the group's SSH to the caller, and all of it to its members."""

    def run_instances(self, spec: InstanceSpec) -> tuple[Node, ...]:
        """The new nodes."""

    def nodes(self, tags: Mapping[str, str]) -> tuple[Node, ...]:
        """The nodes with these tags, in any state."""

    def groups(self, tags: Mapping[str, str], *, name: str | None = None) -> tuple[SecurityGroup, ...]:
        """The security groups with these tags."""

    def console_output(self, instance_id: str) -> str:
        """What the instance has printed so far."""

    def terminate(self, instance_ids: Sequence[str]) -> None:
        """Ends the instances."""

    def delete_security_group(self, group_id: str) -> bool:
        """False while something still uses the group."""


class WayIn(Protocol):
    """SSH to the head, and what is reached through it; no method waits."""

    @property
    def trouble(self) -> str:
        """Why there is no connection, as far as is known."""

    def prepare(self) -> None:
        """Keeps the cluster's secrets on this machine."""

    def pin(self, node: Node, host_key: str) -> None:
        """From now on, this host key and no other is the node's."""

    def is_pinned(self, node: Node) -> bool:
        """True when the node's host key is known."""

    def registered(self, head: Node) -> Mapping[str, int] | None:
        """The worker processes registered, per private address; ``None`` while there is no answer."""

    def close(self) -> None:
        """Ends the connection."""

    def forget(self) -> None:
        """Deletes the cluster's secrets from this machine."""
