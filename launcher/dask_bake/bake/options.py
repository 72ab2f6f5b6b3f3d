"""Options of a bake."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dask_bake.errors import UsageError
from dask_bake.models.cloud import Architecture
from dask_bake.models.debian import DebianRelease
from dask_bake.models.tags import Tags
from dask_bake.options.configuration import Configuration, resolve, sources_in_errors
from dask_bake.options.settings_table import BAKE, IMAGE_SECTION

INSTANCE_TYPES = {Architecture.X86_64: "m5.large", Architecture.ARM64: "m6g.large"}


DEPRECATION = 3650
"""Days: EC2 takes no date more than 10 years ahead (API reference, EnableImageDeprecation)."""

STEP_TIMEOUT, VERIFICATION_TIMEOUT = 3600, 300


@dataclass(frozen=True)
class BakeOptions:
    """Options of an image, and of the instance that it is baked on.

    Args:
        base: the Debian release, or the base image's id; ``None`` for the release that suits the environment.
        volume_size: of the root volume, in GiB.
        kms_key: the key that encrypts it; the account's default one where it is ``None``.
        deprecate_after: days after which EC2 marks the image as deprecated; 0 is never.
        timeout: seconds that each step in the cloud may take: boot, scripts, image, another bake,
            verification; ``None`` is an hour, and five minutes for the verification.
        private: whether the instances get no public address, and are reached by their private ones.
        cidr: addresses or security groups with SSH access; this machine's address where it is empty.
    """

    force: bool = False
    verify: bool = True
    architecture: Architecture = Architecture.X86_64
    base: DebianRelease | str | None = None
    type: str | None = None
    volume_size: int = 10
    kms_key: str | None = None
    deprecate_after: int = 365
    timeout: int | None = None
    user: str = "admin"
    zone: tuple[str, ...] = ()
    vpc_id: str | None = None
    subnet_id: str | None = None
    private: bool = False
    cidr: tuple[str, ...] = ()

    @property
    def instance_type(self) -> str:
        """The type of the instances that the image is baked and verified on."""
        return self.type or INSTANCE_TYPES[self.architecture]

    @property
    def step_timeout(self) -> int:
        """Seconds that a step of the build may take."""
        return self.timeout or STEP_TIMEOUT

    @property
    def verification_timeout(self) -> int:
        """Seconds that the cluster which verifies the image may take to get ready."""
        return self.timeout or VERIFICATION_TIMEOUT

    @property
    def inputs(self) -> Tags:
        """The options that change the image, and so its digest."""
        key = (("kms_key", self.kms_key),) if self.kms_key else ()
        return (*key, ("user", self.user), ("volume_size", str(self.volume_size)))


def bake_options(flags: Mapping[str, Any], configuration: Configuration, **more: Any) -> BakeOptions:
    """Resolve the options: a flag, then the configuration file, then the default.

    Raises:
        UsageError: if a value is out of range; the error names its source.
    """
    section = f"{IMAGE_SECTION}."
    values = resolve(BAKE, flags, configuration, section=section)
    with sources_in_errors(BAKE, flags, configuration, section=section):
        options = BakeOptions(**values, **more)
        check(options)
        return options


def check(options: BakeOptions) -> None:
    """Raise ``UsageError`` if a value is out of range."""
    for flag, value, least, unit in (
        ("--volume-size", options.volume_size, 8, "GiB"),
        ("--deprecate-after", options.deprecate_after, 0, "days"),
        ("--timeout", options.step_timeout if options.timeout is None else options.timeout, 1, "seconds"),
    ):
        if value < least:
            raise UsageError(f"{flag} is in {unit}: at least {least}, not {value}", hint=f"{flag} {least}")
    if options.deprecate_after > DEPRECATION:
        raise UsageError(
            f"--deprecate-after is in days: at most {DEPRECATION}, not {options.deprecate_after}",
            hint="EC2 takes no later date; 0 is never",
        )
