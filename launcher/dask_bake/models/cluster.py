"""The nouns: frozen values that pass between modules, without any SDK's types in them."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

SCHEDULER_PORT = 8786
DASHBOARD_PORT = 8787
JUPYTER_PORT = 8888
JUPYTER_TOKEN_FILE = "/var/lib/dask-jupyter/token"  # noqa: S105 - its name; the head makes the token

DEBIAN_ACCOUNT = "136693071363"
"""The account that publishes Debian's images (wiki.debian.org/Cloud/AmazonEC2Image)."""

Tags = tuple[tuple[str, str], ...]


class Role(StrEnum):
    """What a node is told to be."""

    HEAD = "head"
    WORKER = "worker"


class Market(StrEnum):
    """How an instance is paid for."""

    ON_DEMAND = "on-demand"
    SPOT = "spot"


class Connect(StrEnum):
    """What carries SSH to the head; ``ssm`` is Session Manager, ``eice`` an Instance Connect Endpoint."""

    DIRECT = "direct"
    BASTION = "bastion"
    SSM = "ssm"
    EICE = "eice"


class CloudChoice(StrEnum):
    """Which cloud to use; ``auto`` is Amazon's where there are credentials, else the local one."""

    AUTO = "auto"
    AWS = "aws"
    LOCAL = "local"


class InstallerChoice(StrEnum):
    """Who installs the environment; ``auto`` is conda where its channel answers, else pip."""

    CONDA = "conda"
    PIP = "pip"
    AUTO = "auto"


class Tag:
    """The keys under which everything is found again; the cloud is the only record."""

    MANAGED = "dask-bake:managed"
    CLUSTER = "dask-bake:cluster"
    LAUNCH = "dask-bake:launch-id"
    CREATED = "dask-bake:created"
    ROLE = "dask-bake:role"
    NPROCS = "dask-bake:nprocs"
    NTHREADS = "dask-bake:nthreads"
    DIGEST = "dask-bake:digest"
    PYTHON = "dask-bake:python"
    DASK = "dask-bake:dask"
    DISTRIBUTED = "dask-bake:distributed"
    NUMPY = "dask-bake:numpy"
    PANDAS = "dask-bake:pandas"
    INSTALLER = "dask-bake:installer"
    ENVIRONMENT = "dask-bake:environment"
    BASE = "dask-bake:base"
    BASE_NAME = "dask-bake:base-name"
    USER = "dask-bake:user"
    CONNECT = "dask-bake:connect"
    BASTION = "dask-bake:bastion"
    ENDPOINT = "dask-bake:endpoint"
    TLS = "dask-bake:tls"
    WITHOUT_DASK = "dask-bake:without-dask"
    VERIFIED = "dask-bake:verified"
    MANIFEST = "dask-bake:manifest-"


class Verified(StrEnum):
    """The values of ``Tag.VERIFIED``; an image without one does not count yet, and one that failed never."""

    YES = "yes"
    SKIPPED = "skipped"
    FAILED = "failed"


READY = (Verified.YES, Verified.SKIPPED)
"""What makes an image count."""


class Architecture(StrEnum):
    """A processor architecture, by EC2's name for it."""

    X86_64 = "x86_64"
    ARM64 = "arm64"

    @property
    def machine(self) -> str:
        """The name that Linux and wheels have for it."""
        return "aarch64" if self is Architecture.ARM64 else "x86_64"

    @property
    def debian(self) -> str:
        """Debian's name for it."""
        return "arm64" if self is Architecture.ARM64 else "amd64"

    @property
    def subdir(self) -> str:
        """conda's name for Linux on it."""
        return "linux-aarch64" if self is Architecture.ARM64 else "linux-64"


@dataclass(frozen=True)
class Cloud:
    """An EC2 to talk to: Amazon's, or the one on this machine.

    This is the only place where the two differ. ``architectures`` are those of the machines that it has.
    ``environment`` is what a child process (Packer, s3fs) needs
    to reach the same cloud; ``address_url`` answers with the address that the cloud sees the caller under.
    ``is_free`` says that nothing costs anything there.
    ``profile`` is the one of the user's AWS profiles that was asked for.
    """

    name: str
    region: str
    address_url: str
    endpoint_url: str | None = None
    environment: tuple[tuple[str, str], ...] = ()
    architectures: tuple[Architecture, ...] = tuple(Architecture)
    profile: str | None = None
    is_free: bool = False


@dataclass(frozen=True)
class DataDisk:
    """A volume that an image brings along beside its root volume; the size is in GiB."""

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
        """The tag's value, or the default."""
        return dict(self.tags).get(key, default)


@dataclass(frozen=True)
class Subnet:
    """A subnet to launch into.

    Args:
        free_addresses: how many instances still fit.
        is_public: whether instances get public addresses there unless told otherwise.
    """

    id: str
    vpc_id: str
    zone: str
    free_addresses: int = 0
    is_public: bool = True


@dataclass(frozen=True)
class Disk:
    """A root volume; ``None`` is EC2's default, or the image's. Size in GiB, initialization rate in MiB/s."""

    type: str = "gp3"
    size: int | None = None
    initialization_rate: int | None = None


@dataclass(frozen=True)
class InstanceSpec:
    """Everything that one RunInstances call needs.

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
class Node:
    """An instance of a cluster, as EC2 describes it. ``index`` is dec2's: 0 is the head."""

    id: str
    index: int
    role: Role
    state: str
    private_address: str
    public_address: str | None
    instance_type: str
    zone: str
    launched: datetime
    image_id: str
    state_reason: str = ""
    tags: Tags = ()

    @property
    def is_live(self) -> bool:
        """True while the instance can still cost or compute."""
        return self.state in ("pending", "running", "stopping", "stopped")

    @property
    def address(self) -> str:
        """The address to dial from outside."""
        return self.public_address or self.private_address


@dataclass(frozen=True)
class Rule:
    """What a security group lets in: TCP to one port, or all there is where ``port`` is ``None``.

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
class Cluster:
    """A cluster as seen in the cloud now: found by tag, never remembered."""

    name: str
    cloud: str
    region: str
    launch_id: str
    nodes: tuple[Node, ...] = ()
    groups: tuple[SecurityGroup, ...] = ()

    @property
    def head(self) -> Node | None:
        """The node that runs the scheduler."""
        return next((node for node in self.nodes if node.role is Role.HEAD), None)

    @property
    def workers(self) -> tuple[Node, ...]:
        """The nodes that run worker processes."""
        return tuple(node for node in self.nodes if node.role is Role.WORKER)

    @property
    def nprocs(self) -> int:
        """The worker processes of each worker node; 0 where no Dask was started."""
        return int(self._tag(Tag.NPROCS, "0"))

    @property
    def nthreads(self) -> int:
        """The threads of each worker process."""
        return int(self._tag(Tag.NTHREADS, "0"))

    @property
    def has_dask(self) -> bool:
        """Whether there is a scheduler, with workers to come."""
        return self._tag(Tag.WITHOUT_DASK, "false") != "true"

    @property
    def has_tls(self) -> bool:
        """Whether scheduler, workers and clients speak TLS."""
        return self._tag(Tag.TLS, "false") == "true"

    @property
    def way(self) -> Connect:
        """What carries SSH to the head."""
        return Connect(self._tag(Tag.CONNECT, Connect.DIRECT))

    @property
    def bastion(self) -> str | None:
        """The bastion host, where that is the way."""
        return self._tag(Tag.BASTION, "") or None

    @property
    def endpoint(self) -> str | None:
        """The Instance Connect endpoint's id, where that is the way."""
        return self._tag(Tag.ENDPOINT, "") or None

    def _tag(self, key: str, default: str) -> str:
        return next((dict(node.tags)[key] for node in self.nodes if key in dict(node.tags)), default)

    @property
    def expected_workers(self) -> int:
        """The number of worker processes when all have registered."""
        return len(self.workers) * self.nprocs
