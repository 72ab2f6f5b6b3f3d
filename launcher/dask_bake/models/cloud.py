"""Clouds, and the choices that users have about them and about their instances."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TypeAlias

DEBIAN_ACCOUNT = "136693071363"
"""The account that publishes Debian's images (wiki.debian.org/Cloud/AmazonEC2Image)."""


class Role(StrEnum):
    """The role of a node in its cluster."""

    HEAD = "head"
    WORKER = "worker"


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


class CredentialSource(StrEnum):
    """The source of the AWS credentials of tasks: none, the nodes' instance profile, or a client's own."""

    NONE = "none"
    PROFILE = "profile"
    FORWARD = "forward"


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


CheckAnswer: TypeAlias = Callable[[str, Mapping[str, str], bytes], None]


@dataclass(frozen=True)
class Cloud:
    """An EC2 API: AWS's, or the local cloud's.

    This is the only place where the two differ.

    Args:
        address_url: responds with the address under which AWS sees the caller; empty for the local cloud.
        environment: variables with which a child process (Packer, s3fs) reaches the same cloud.
        credentials_file: the local cloud's key pair, in the format of AWS's shared credentials file.
        architectures: those of the cloud's machines.
        profile: the AWS profile that the user chose.
        check_answer: raises if an answer is not the cloud's, by the request's Authorization header and the
            answer's headers and body.
        is_free: whether nothing costs anything there.
        flags: the options that chose this cloud; a hint that names a command repeats them.
    """

    name: str
    region: str
    address_url: str
    endpoint_url: str | None = None
    environment: tuple[tuple[str, str], ...] = field(default=(), repr=False)  # it may have a secret key
    credentials_file: Path | None = None
    check_answer: CheckAnswer | None = field(default=None, repr=False, compare=False)
    architectures: tuple[Architecture, ...] = tuple(Architecture)
    profile: str | None = None
    is_free: bool = False
    flags: tuple[str, ...] = ()
