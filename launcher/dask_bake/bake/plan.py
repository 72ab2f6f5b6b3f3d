"""Names and tags of an image, and the variables of its Packer template."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from dask_bake.bake.options import BakeOptions
from dask_bake.bake.recipe import Recipe
from dask_bake.environment.pip_lock import Lock
from dask_bake.models.cloud import Cloud, Connect
from dask_bake.models.ec2 import Image
from dask_bake.models.owner import Owner
from dask_bake.models.tags import Tag, Tags
from dask_bake.options.launch import LaunchOptions
from dask_bake.options.parse import checked


def bake_name(digest: str) -> str:
    """Return the name under which a bake in progress is listed, as if it were a cluster."""
    return f"image-{digest[:12]}"


def verification_name(digest: str) -> str:
    """Return the name of the cluster that verifies an image."""
    return f"{bake_name(digest)}-proof"


def image_name(recipe: Recipe) -> str:
    """Return the name of the recipe's first image."""
    return f"dask-bake-{recipe.digest[:12]}"


def image_tags(
    options: BakeOptions, recipe: Recipe, base: Image, owner: Owner, environment: str, lock: Lock
) -> Tags:
    """Return the tags by which an image is found and by which clients check its versions."""
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
        *owner.tags,
        *((key, version) for key, version in versions if version),
    )


def launch_options(options: BakeOptions, name: str) -> LaunchOptions:
    """Return the options of the cluster that verifies the image; the build has the same places to try.

    Raises:
        UsageError: if options contradict each other.
    """
    return checked(
        LaunchOptions(
            count=2,
            nprocs=1,
            name=name,
            type=(options.instance_type,),
            timeout=options.verification_timeout,
            zone=options.zone,
            vpc_id=options.vpc_id,
            subnet_id=options.subnet_id,
            private=options.private,
            connect=Connect.DIRECT,
            cidr=options.cidr,
        )
    )


def volume_size(options: BakeOptions, base: Image) -> int:
    """Return the size of the image's root volume in GiB: EC2 takes none below that of the base image."""
    return max(options.volume_size, base.root_size or 0)


@dataclass(frozen=True)
class Site:
    """The temporary resources that an image is baked with."""

    subnet_id: str
    group_id: str
    user_data: Path
    key: Path
    tags: Tags


def packer_variables(
    options: BakeOptions,
    cloud: Cloud,
    site: Site,
    *,
    name: str,
    tags: Tags,
    base: Image,
    deprecate_at: datetime | None = None,
) -> dict[str, object]:
    """Return the values of variables.pkr.hcl."""
    return {
        "region": cloud.region,
        "endpoint": cloud.endpoint_url or "",
        "base_image": base.id,
        "root_device": base.root_device,
        "image_name": name,
        "image_tags": {"Name": name, **dict(tags)},
        "run_tags": {"Name": f"{name} (being baked)", **dict(site.tags)},
        "security_group_id": site.group_id,
        "user_data_file": str(site.user_data),
        "ssh_private_key_file": str(site.key),
        "subnet_id": site.subnet_id,
        "associate_public_ip_address": not options.private,
        "ssh_interface": "private_ip" if options.private else "",
        "instance_type": options.instance_type,
        "volume_size": volume_size(options, base),
        "kms_key_id": options.kms_key or "",
        "ssh_username": options.user,
        "ssh_timeout": f"{options.step_timeout}s",
        "script_timeout": f"{options.step_timeout}s",
        "polling_attempts": options.step_timeout,
        "deprecate_at": f"{deprecate_at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if deprecate_at else "",
    }
