"""Clouds, and the choices that users have about them and about their instances."""

from dataclasses import dataclass
from enum import StrEnum

DEBIAN_ACCOUNT = "136693071363"
"""The account that publishes Debian's images (wiki.debian.org/Cloud/AmazonEC2Image)."""


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
    ``profile`` is the one of the user's AWS profiles that was asked for. ``flags`` are those by which
    the command line chose this cloud: a hint that names a command repeats them.
    """

    name: str
    region: str
    address_url: str
    endpoint_url: str | None = None
    environment: tuple[tuple[str, str], ...] = ()
    architectures: tuple[Architecture, ...] = tuple(Architecture)
    profile: str | None = None
    is_free: bool = False
    flags: tuple[str, ...] = ()
