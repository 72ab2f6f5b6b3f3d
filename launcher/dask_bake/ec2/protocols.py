"""Protocols of the EC2 client and of the connection to a cluster, for callers and for test fakes."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from dask_bake.errors import BakeError
from dask_bake.models.cluster import Cluster, Node
from dask_bake.models.ec2 import (
    ConnectEndpoint,
    Image,
    ImageSettings,
    InstanceSpec,
    InstanceType,
    NodeTemplate,
    PlacementGroup,
    Quota,
    Rule,
    SecurityGroup,
    Snapshot,
    Subnet,
)
from dask_bake.models.tags import Tags


class ClusterQueries(Protocol):
    """Queries for the resources of a cluster."""

    def nodes(self, tags: Mapping[str, str]) -> tuple[Node, ...]:
        """Return the nodes with these tags, in any state."""

    def groups(self, tags: Mapping[str, str], *, name: str | None = None) -> tuple[SecurityGroup, ...]:
        """Return the security groups with these tags."""

    def console_output(self, instance_id: str) -> str:
        """Return the instance's console output so far."""

    def caller_arn(self) -> str:
        """Return the ARN of the caller; "" if it cannot be read."""


class LaunchQueries(ClusterQueries, Protocol):
    """Queries that plan a launch; safe to call from several threads."""

    def find_images(
        self, *, owners: Sequence[str], filters: Mapping[str, str | Sequence[str]]
    ) -> tuple[Image, ...]:
        """Return the images that match, newest first."""

    def named_groups(
        self, *, name: str | None = None, group_id: str | None = None
    ) -> tuple[SecurityGroup, ...]:
        """Return the security groups with that name, in any VPC, or the one with that id."""

    def connect_endpoints(self) -> tuple[ConnectEndpoint, ...]:
        """Return the Instance Connect endpoints that are ready, in any VPC."""

    def image(self, image_id: str) -> Image:
        """Return the image with that id."""

    def instance_types(self, names: Sequence[str]) -> tuple[InstanceType, ...]:
        """Return the instance types with these names, in this order."""

    def offerings(self, names: Sequence[str]) -> frozenset[tuple[str, str]]:
        """Return the zones that offer these instance types, as pairs of a type and a zone."""

    def subnets(self, *, vpc_id: str | None = None, subnet_id: str | None = None) -> tuple[Subnet, ...]:
        """Return the VPC's subnets, or the one with that id; without either, the default subnets."""

    def has_key_pair(self, name: str) -> bool:
        """Return whether a key pair with that name exists."""

    def placement_group(self, name: str) -> PlacementGroup | None:
        """Return the placement group with that name, if it exists."""

    def quota(self, code: str) -> Quota | None:
        """Return the quota with that code; ``None`` if it cannot be read."""

    def has_instance_profile(self, name: str) -> bool | None:
        """Return whether the instance profile exists; ``None`` if it cannot be read."""

    def denial(self, operation: str, request: Mapping[str, Any]) -> BakeError | None:
        """Return the error with which EC2 denies the operation, by a dry run that changes nothing."""


class ClusterApi(ClusterQueries, Protocol):
    """Operations on the resources of a cluster."""

    def tag(self, resource_ids: Sequence[str], tags: Tags) -> None:
        """Add the tags to the resources."""

    def create_security_group(self, name: str, *, vpc_id: str, tags: Tags) -> SecurityGroup | None:
        """Create a security group; return ``None`` if the name is taken."""

    def authorize(self, group: SecurityGroup, rules: Sequence[Rule]) -> None:
        """Add the rules to the group."""

    def revoke(self, group: SecurityGroup, rules: Sequence[Rule]) -> None:
        """Remove the rules from the group."""

    def run_instances(self, spec: InstanceSpec) -> tuple[Node, ...]:
        """Start instances and return them."""

    def import_key_pair(self, name: str, *, public_key: str, tags: Tags) -> None:
        """Import the public key as a key pair."""

    def key_pairs(self, tags: Mapping[str, str]) -> tuple[str, ...]:
        """Return the names of the key pairs with these tags."""

    def delete_key_pair(self, name: str) -> None:
        """Delete the key pair."""

    def terminate(self, instance_ids: Sequence[str]) -> None:
        """Terminate the instances."""

    def delete_security_group(self, group_id: str) -> bool:
        """Delete the group; return false while another resource uses it."""

    def holders(self, group_id: str) -> tuple[str, ...]:
        """Return the network interfaces in the group; empty without the permission to list them."""


class ScaleApi(LaunchQueries, ClusterApi, Protocol):
    """Operations that change the number of a cluster's nodes."""

    def node_template(self, instance_id: str) -> NodeTemplate:
        """Return what the instance was made by, with its user-data."""


class BakeApi(LaunchQueries, ClusterApi, Protocol):
    """Operations of a bake: queries, and the cluster that verifies the image."""


class HeadConnection(Protocol):
    """The SSH connection to the head node and what is reached through it; no method blocks for long."""

    @property
    def trouble(self) -> str:
        """Return the reason why there is no connection, as far as it is known."""

    def prepare(self) -> None:
        """Store the cluster's keys on this machine."""

    def pin(self, node: Node, host_key: str) -> None:
        """Trust this host key, and no other, for the node."""

    def is_pinned(self, node: Node) -> bool:
        """Return whether the node's host key is known."""

    def registered(self, head: Node) -> Mapping[str, int] | None:
        """Return the registered worker processes per private address; ``None`` without a response."""

    def opens(self, head: Node) -> bool:
        """Return whether the SSH connection opens."""

    def journal(self, cluster: Cluster, node: Node, unit: str) -> str:
        """Return the last lines of a unit's journal on a node; "" if they cannot be read within seconds."""

    def close(self) -> None:
        """Close the connection."""

    def forget(self) -> None:
        """Delete the cluster's keys from this machine."""


class ImageApi(Protocol):
    """Operations on images in one region."""

    def mine(self) -> tuple[Image, ...]:
        """Return every image that dask-bake created, newest first."""

    def published(self, patterns: Sequence[str]) -> tuple[Image, ...]:
        """Return Debian's images whose names match a pattern, newest first."""

    def snapshots(self, ids: Sequence[str]) -> Mapping[str, Snapshot]:
        """Return the snapshots with these ids."""

    def tagged_snapshots(self) -> tuple[Snapshot, ...]:
        """Return every snapshot that dask-bake created."""

    def users_of(self, image_ids: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
        """Return for each image the clusters and instances that run from it."""

    def settings_of(self, image_id: str) -> ImageSettings:
        """Return the image's settings and launch permissions."""

    def require_imdsv2(self, image_id: str) -> None:
        """Require IMDSv2 for instances of the image."""

    def deprecate(self, image_id: str, when: datetime) -> None:
        """Deprecate the image from a time on."""

    def tag(self, resource_ids: Sequence[str], tags: Tags) -> None:
        """Add the tags to the resources."""

    def remove(self, image: Image) -> None:
        """Deregister the image and delete its snapshots."""

    def remove_snapshot(self, snapshot_id: str) -> None:
        """Delete the snapshot."""

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
        """Start a copy into this region and return its id."""

    def wait_available(self, image_id: str, *, timeout: float) -> Image:
        """Wait until the image is available and return it."""

    def share(self, image: Image, accounts: Sequence[str]) -> None:
        """Allow the accounts to use the image."""

    def unshare(self, image: Image, accounts: Sequence[str]) -> None:
        """Withdraw the accounts' permission to use the image."""
