"""What a user may choose of an image, and what Packer is told of it, decided before it is run."""

from collections.abc import Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dask_bake.bake.recipe import Recipe
from dask_bake.environment.pip_lock import Lock
from dask_bake.errors import UsageError
from dask_bake.models.cloud import Architecture, Cloud
from dask_bake.models.debian import DebianRelease
from dask_bake.models.ec2 import Image
from dask_bake.models.tags import Tag, Tags
from dask_bake.options.configuration import Configuration
from dask_bake.options.precedence import blaming, chosen
from dask_bake.options.settings_table import BAKE, IMAGE_SECTION

INSTANCE_TYPES = {Architecture.X86_64: "m5.large", Architecture.ARM64: "m6g.large"}
DEPRECATION = 3650
"""Days: EC2 takes no date more than 10 years ahead (API reference, EnableImageDeprecation)."""


@dataclass(frozen=True)
class BakeOptions:
    """What a user may choose of an image, and of the instance that it is baked on.

    Args:
        base: the Debian release, or the base image's id; ``None`` for the release that suits the environment.
        volume_size: of the root volume, in GiB.
        kms_key: the key that encrypts it; the account's default one where it is ``None``.
        deprecate_after: days after which EC2 marks the image as deprecated; 0 is never.
        timeout: seconds that each step in the cloud may take: boot, scripts, image, another bake.
    """

    force: bool = False
    verify: bool = True
    architecture: Architecture = Architecture.X86_64
    base: DebianRelease | str | None = None
    type: str | None = None
    volume_size: int = 10
    kms_key: str | None = None
    deprecate_after: int = 365
    timeout: int = 3600
    user: str = "admin"

    def __post_init__(self) -> None:
        for flag, value, least, unit in (
            ("--volume-size", self.volume_size, 8, "GiB"),
            ("--deprecate-after", self.deprecate_after, 0, "days"),
            ("--timeout", self.timeout, 1, "seconds"),
        ):
            if value < least:
                raise UsageError(
                    f"{flag} is in {unit}: at least {least}, not {value}", hint=f"{flag} {least}"
                )

        if self.deprecate_after > DEPRECATION:
            raise UsageError(
                f"--deprecate-after is in days: at most {DEPRECATION}, not {self.deprecate_after}",
                hint="EC2 takes no later date; 0 is never",
            )

    @property
    def instance_type(self) -> str:
        """The type of the instances that the image is baked and proved on."""
        return self.type or INSTANCE_TYPES[self.architecture]

    @property
    def inputs(self) -> Tags:
        """The choices that are in the image, and so in its digest."""
        key = (("kms_key", self.kms_key),) if self.kms_key else ()
        return (*key, ("user", self.user), ("volume_size", str(self.volume_size)))


def bake_options(flags: Mapping[str, Any], configuration: Configuration, **more: Any) -> BakeOptions:
    """The options: a flag, else what is configured, else the default; and what only flags say."""
    section = f"{IMAGE_SECTION}."
    values = chosen(BAKE, flags, configuration, section=section)
    with blaming(BAKE, flags, configuration, section=section):
        return BakeOptions(**values, **more)


def claim_name(digest: str) -> str:
    """What a bake is called while it goes on, as if it were a cluster."""
    return f"image-{digest[:12]}"


def proof_name(digest: str) -> str:
    """The cluster that proves an image."""
    return f"{claim_name(digest)}-proof"


def image_name(recipe: Recipe) -> str:
    """The name of the recipe's first image."""
    return f"dask-bake-{recipe.digest[:12]}"


def free_name(name: str, taken: Set[str]) -> str:
    """The name, numbered if it must be: names are unique, also those of images that failed."""
    names = (name, *(f"{name}-{number}" for number in range(2, len(taken) + 2)))
    return next(each for each in names if each not in taken)


def image_tags(options: BakeOptions, recipe: Recipe, base: Image, environment: str, lock: Lock) -> Tags:
    """What an image is found by, and the fingerprint that a client compares itself with."""
    versions = (
        (Tag.DASK, lock.version("dask") or lock.version("dask-core")),
        (Tag.DISTRIBUTED, lock.version("distributed")),
        (Tag.NUMPY, lock.version("numpy")),
        (Tag.PANDAS, lock.version("pandas")),
    )
    return (
        (Tag.MANAGED, "true"),
        (Tag.DIGEST, recipe.digest),
        (Tag.BASE, base.id),
        (Tag.BASE_NAME, base.name),
        (Tag.ENVIRONMENT, environment),
        (Tag.INSTALLER, recipe.installer),
        (Tag.USER, options.user),
        (Tag.PYTHON, lock.python),
        *((key, version) for key, version in versions if version),
    )


@dataclass(frozen=True)
class Site:
    """Where an image is baked: what was made for it, and is gone afterwards."""

    subnet_id: str
    group_id: str
    user_data: Path
    key: Path
    tags: Tags


def packer_variables(
    options: BakeOptions, cloud: Cloud, site: Site, *, name: str, tags: Tags, base_image: str
) -> dict[str, object]:
    """The values of variables.pkr.hcl."""
    return {
        "region": cloud.region,
        "endpoint": cloud.endpoint_url or "",
        "base_image": base_image,
        "image_name": name,
        "image_tags": {"Name": name, **dict(tags)},
        "run_tags": {"Name": f"{name} (being baked)", **dict(site.tags)},
        "security_group_id": site.group_id,
        "user_data_file": str(site.user_data),
        "ssh_private_key_file": str(site.key),
        "subnet_id": site.subnet_id,
        "associate_public_ip_address": True,
        "instance_type": options.instance_type,
        "volume_size": options.volume_size,
        "kms_key_id": options.kms_key or "",
        "ssh_username": options.user,
        "script_timeout": f"{options.timeout}s",
        "polling_attempts": options.timeout,
    }
