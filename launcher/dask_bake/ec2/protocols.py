"""What launching and taking down need of the world: the shapes of EC2, of the way in, and of their fakes."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from dask_bake.models.cluster import Node
from dask_bake.models.ec2 import (
    ConnectEndpoint,
    Image,
    ImageSettings,
    InstanceSpec,
    InstanceType,
    PlacementGroup,
    Quota,
    Rule,
    SecurityGroup,
    Snapshot,
    Subnet,
)
from dask_bake.models.tags import Tags


class ClusterQueries(Protocol):
    """Look-ups of what belongs to a cluster."""

    def nodes(self, tags: Mapping[str, str]) -> tuple[Node, ...]:
        """The nodes with these tags, in any state."""

    def groups(self, tags: Mapping[str, str], *, name: str | None = None) -> tuple[SecurityGroup, ...]:
        """The security groups with these tags."""


class LookUps(ClusterQueries, Protocol):
    """The part of EC2 that is asked before a launch is planned; safe to ask from several threads."""

    def find_images(
        self, *, owners: Sequence[str], filters: Mapping[str, str | Sequence[str]]
    ) -> tuple[Image, ...]:
        """The images that match, newest first."""

    def named_groups(
        self, *, name: str | None = None, group_id: str | None = None
    ) -> tuple[SecurityGroup, ...]:
        """The security groups of that name, in whatever VPC, or the one of that id."""

    def connect_endpoints(self) -> tuple[ConnectEndpoint, ...]:
        """The Instance Connect endpoints that are ready, in whatever VPC."""

    def image(self, image_id: str) -> Image:
        """The image of that id."""

    def instance_types(self, names: Sequence[str]) -> tuple[InstanceType, ...]:
        """The instance types of these names, in this order."""

    def offerings(self, names: Sequence[str]) -> frozenset[tuple[str, str]]:
        """Which of these instance types there are in which zone: pairs of a type and a zone."""

    def subnets(self, *, vpc_id: str | None = None, subnet_id: str | None = None) -> tuple[Subnet, ...]:
        """The subnets of the VPC, or the one of that id; without either the default ones."""

    def has_key_pair(self, name: str) -> bool:
        """Whether there is a key pair of that name."""

    def placement_group(self, name: str) -> PlacementGroup | None:
        """The placement group of that name, if there is one."""

    def quota(self, code: str) -> Quota | None:
        """The quota of that code; ``None`` where it is not to be read."""

    def has_instance_profile(self, name: str) -> bool | None:
        """Whether there is an instance profile of that name; ``None`` where it is not to be read."""

    def may(self, operation: str, request: Mapping[str, Any]) -> bool:
        """Whether the caller may do that: a dry run, which makes nothing."""


class CloudEdge(ClusterQueries, Protocol):
    """The part of EC2 that a cluster is made of."""

    def create_security_group(self, name: str, *, vpc_id: str, tags: Tags) -> SecurityGroup | None:
        """The new group, or ``None`` when the name is taken."""

    def authorize(self, group: SecurityGroup, rules: Sequence[Rule]) -> None:
        """Opens the group to what the rules say."""

    def revoke(self, group: SecurityGroup, rules: Sequence[Rule]) -> None:
        """Closes the group to what the rules say."""

    def run_instances(self, spec: InstanceSpec) -> tuple[Node, ...]:
        """The new nodes."""

    def import_key_pair(self, name: str, *, public_key: str, tags: Tags) -> None:
        """Makes a key pair of the public key."""

    def key_pairs(self, tags: Mapping[str, str]) -> tuple[str, ...]:
        """The names of the key pairs with these tags."""

    def delete_key_pair(self, name: str) -> None:
        """The key pair is no more."""

    def console_output(self, instance_id: str) -> str:
        """What the instance has printed so far."""

    def terminate(self, instance_ids: Sequence[str]) -> None:
        """Ends the instances."""

    def delete_security_group(self, group_id: str) -> bool:
        """False while something still uses the group."""

    def holders(self, group_id: str) -> tuple[str, ...]:
        """The network interfaces that are in the group, as far as one may ask."""


class BakeApi(LookUps, CloudEdge, Protocol):
    """The part of EC2 that a bake uses: look-ups, and the cluster that verifies the image."""


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

    def opens(self, head: Node) -> bool:
        """True when SSH lets in."""

    def close(self) -> None:
        """Ends the connection."""

    def forget(self) -> None:
        """Deletes the cluster's secrets from this machine."""


class ImagesEdge(Protocol):
    """What is asked of EC2 for images, in one region."""

    def mine(self) -> tuple[Image, ...]:
        """Every image that dask-bake made, the newest first."""

    def published(self, patterns: Sequence[str]) -> tuple[Image, ...]:
        """Debian's images with such names, the newest first."""

    def snapshots(self, ids: Sequence[str]) -> Mapping[str, Snapshot]:
        """The snapshots of these ids."""

    def tagged_snapshots(self) -> tuple[Snapshot, ...]:
        """Every snapshot that dask-bake made."""

    def users_of(self, image_ids: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
        """Who runs from each of the images."""

    def settings_of(self, image_id: str) -> ImageSettings:
        """What an image has besides."""

    def require_imdsv2(self, image_id: str) -> None:
        """Metadata is answered with a token alone."""

    def deprecate(self, image_id: str, when: datetime) -> None:
        """The image is deprecated from then on."""

    def tag(self, resource_ids: Sequence[str], tags: Tags) -> None:
        """Adds the tags."""

    def remove(self, image: Image) -> None:
        """The image and its snapshots are gone."""

    def remove_snapshot(self, snapshot_id: str) -> None:
        """The snapshot is gone."""

    def copy(
        self,
        image: Image,
        *,
        from_region: str,
        name: str,
        client_token: str,
        description: str,
        tags: Tags,
        snapshot_tags: Tags,
    ) -> str:
        """The id of a copy that has begun."""

    def wait_available(self, image_id: str, *, timeout: float) -> Image:
        """The image, once it is available."""

    def share(self, image: Image, accounts: Sequence[str]) -> None:
        """The accounts can use the image."""

    def unshare(self, image: Image, accounts: Sequence[str]) -> None:
        """The accounts can no longer use the image."""
