"""Clouds, and the choices that users have about them and about their instances."""

from dataclasses import dataclass, field
from enum import StrEnum

DEBIAN_ACCOUNT = "136693071363"
"""The account that publishes Debian's images (wiki.debian.org/Cloud/AmazonEC2Image)."""


class Role(StrEnum):
    """The role of a node in its cluster; ``foreign`` is one that this version does not know."""

    HEAD = "head"
    WORKER = "worker"
    FOREIGN = "foreign"


class Market(StrEnum):
    """The purchasing option of an instance."""

    ON_DEMAND = "on-demand"
    SPOT = "spot"


class Connect(StrEnum):
    """The transport of SSH to the head; ``ssm`` is Session Manager, ``eice`` an Instance Connect Endpoint."""

    DIRECT = "direct"
    BASTION = "bastion"
    SSM = "ssm"
    EICE = "eice"


class CloudChoice(StrEnum):
    """The cloud to use; ``auto`` is AWS if there are credentials, else the local cloud."""

    AUTO = "auto"
    AWS = "aws"
    LOCAL = "local"


class InstallerChoice(StrEnum):
    """The installer of the environment; ``auto`` is conda if its channel responds, else pip."""

    CONDA = "conda"
    PIP = "pip"
    AUTO = "auto"


class Architecture(StrEnum):
    """A processor architecture, by its name in EC2."""

    X86_64 = "x86_64"
    ARM64 = "arm64"

    @property
    def machine(self) -> str:
        """Its name in Linux and in wheels."""
        return "aarch64" if self is Architecture.ARM64 else "x86_64"

    @property
    def debian(self) -> str:
        """Its name in Debian."""
        return "arm64" if self is Architecture.ARM64 else "amd64"

    @property
    def subdir(self) -> str:
        """Its Linux platform in conda."""
        return "linux-aarch64" if self is Architecture.ARM64 else "linux-64"


@dataclass(frozen=True)
class Cloud:
    """An EC2 API: AWS's, or the local cloud's.

    This is the only place where the two differ. ``architectures`` are those of the machines that it has.
    ``environment`` is what a child process (Packer, s3fs) needs
    to reach the same cloud; ``address_url`` answers with the address that the cloud sees the caller under;
    the local cloud says it itself.
    ``is_free`` says that nothing costs anything there.
    ``profile`` is the one of the user's AWS profiles that was asked for. ``flags`` are those by which
    the command line chose this cloud: a hint that names a command repeats them.
    """

    name: str
    region: str
    address_url: str
    endpoint_url: str | None = None
    environment: tuple[tuple[str, str], ...] = field(default=(), repr=False)  # it may have a secret key
    architectures: tuple[Architecture, ...] = tuple(Architecture)
    profile: str | None = None
    is_free: bool = False
    flags: tuple[str, ...] = ()
