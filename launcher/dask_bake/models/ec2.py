"""EC2's resources in our own types: images, instance types, subnets, security groups."""

from dataclasses import dataclass
from datetime import datetime

from dask_bake.models.cloud import Market, Role
from dask_bake.models.tags import Tags


@dataclass(frozen=True)
class DataDisk:
    """A volume of an image besides its root volume; the size is in GiB."""

    device: str
    size: int | None = None


@dataclass(frozen=True)
class Image:
    """An AMI."""

    id: str
    name: str
    state: str
    created: datetime
    architecture: str = "x86_64"
    root_device: str = "/dev/xvda"
    root_size: int | None = None
    snapshot_id: str | None = None
    data_disks: tuple[DataDisk, ...] = ()
    tags: Tags = ()

    def tag(self, key: str, default: str = "") -> str:
        """Return the tag's value, or the default."""
        return dict(self.tags).get(key, default)


@dataclass(frozen=True)
class Subnet:
    """A subnet to launch into.

    Args:
        free_addresses: how many instances still fit.
        is_public: whether instances get public addresses there by default.
    """

    id: str
    vpc_id: str
    zone: str
    free_addresses: int = 0
    is_public: bool = True


@dataclass(frozen=True)
class Disk:
    """A root volume; ``None`` is EC2's or the image's default. Size in GiB, initialization in MiB/s."""

    type: str = "gp3"
    size: int | None = None
    initialization_rate: int | None = None


@dataclass(frozen=True)
class InstanceSpec:
    """The parameters of one RunInstances call.

    Args:
        count: how many are wanted; at least ``least`` of them, or none.
        user_data: ``None`` for none.
        has_public_address: whether the instances get one.
    """

    role: Role
    count: int
    least: int
    image: Image
    instance_type: str
    subnet: Subnet
    security_group_ids: tuple[str, ...]
    user_data: str | None
    tags: Tags
    client_token: str
    market: Market = Market.ON_DEMAND
    disk: Disk = Disk()
    has_public_address: bool = True
    key_name: str | None = None
    instance_profile: str | None = None
    placement_group: str | None = None


@dataclass(frozen=True)
class NodeTemplate:
    """The parameters of a running node's own RunInstances call, as far as EC2 still has them.

    Args:
        user_data: ``None`` for none.
    """

    image_id: str
    vpc_id: str
    subnet_id: str
    security_group_ids: tuple[str, ...]
    user_data: str | None
    has_public_address: bool = True
    key_name: str | None = None
    instance_profile: str | None = None
    placement_group: str | None = None


@dataclass(frozen=True)
class Rule:
    """An ingress rule of a security group: one TCP port, or all traffic where ``port`` is ``None``.

    Args:
        source: an address block, or the id of a security group.
    """

    source: str
    description: str
    port: int | None = None


@dataclass(frozen=True)
class SecurityGroup:
    """A security group of a cluster; the name of its first one is the lock on the cluster's name."""

    id: str
    name: str
    vpc_id: str
    tags: Tags = ()
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True)
class InstanceType:
    """An instance type.

    Args:
        architectures: EC2's names, of which some are not for images of ours.
        memory: in MiB.
        has_live_console: whether EC2 shows a console as it is now; older types' is some minutes behind.
    """

    name: str
    vcpus: int
    architectures: tuple[str, ...]
    memory: int = 0
    can_be_spot: bool = True
    has_live_console: bool = True


@dataclass(frozen=True)
class Quota:
    """A quota of the account; for instances it counts vCPUs."""

    code: str
    name: str
    value: float


@dataclass(frozen=True)
class PlacementGroup:
    """A placement group; ``strategy`` is cluster, partition or spread."""

    name: str
    state: str
    strategy: str


@dataclass(frozen=True)
class ConnectEndpoint:
    """An EC2 Instance Connect endpoint that is ready.

    Args:
        keeps_address: whether instances see the client's address, not the endpoint's groups.
    """

    id: str
    vpc_id: str
    subnet_id: str
    group_ids: tuple[str, ...]
    keeps_address: bool = False


AVAILABLE = "available"


@dataclass(frozen=True)
class Snapshot:
    """An image's snapshot; ``bytes`` is its size in storage, ``None`` where EC2 does not say."""

    id: str
    volume_size: int
    started: datetime
    bytes: int | None = None
    encrypted: bool = False
    tags: Tags = ()


@dataclass(frozen=True)
class ImageSettings:
    """Settings of an image that lists do not show; ``shared_with`` are account numbers."""

    description: str = ""
    deprecation: datetime | None = None
    requires_tokens: bool = False
    shared_with: tuple[str, ...] = ()
