"""An image before it is built: its base, its recipe, and the folder that Packer runs in."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dask_bake.assets import package_directory
from dask_bake.bake.context import BakeContext
from dask_bake.bake.options import BakeOptions
from dask_bake.bake.recipe import Recipe, client_files, stage
from dask_bake.ec2.protocols import BakeApi
from dask_bake.environment.installers import Installer
from dask_bake.errors import BakeError, UsageError
from dask_bake.images.manifest import Manifest
from dask_bake.models.cloud import DEBIAN_ACCOUNT, Architecture
from dask_bake.models.debian import NEWEST, DebianRelease, minor, release_of_image, release_with
from dask_bake.models.ec2 import Image
from dask_bake.system.disk import explain_disk_errors

DISK_SPACE_NEEDED = 300 << 20
STAGE_EXPIRY = 24 * 60 * 60
"""Seconds after which the folder of a bake that was killed is cleared away."""


@dataclass(frozen=True)
class StagedImage:
    """An image before it is built: its recipe, its base, and the folder that Packer runs in."""

    recipe: Recipe
    base: Image
    template: Path
    manifest: Manifest


@contextmanager
def stage_image(options: BakeOptions, context: BakeContext) -> Iterator[StagedImage]:
    """Stage the image in a folder that is removed when this ends."""
    if options.architecture not in context.cloud.architectures:
        machines = " and ".join(context.cloud.architectures) or "neither x86_64 nor arm64"
        raise UsageError(
            f"--arch {options.architecture}: the {context.cloud.name} cloud's machines are {machines}",
            hint="an image is baked on a machine of its own architecture: --cloud aws has both",
        )
    base = base_image(options, context.ec2, context.installer)
    with _stage(context.cache) as template:
        installer = context.installer
        with explain_disk_errors(context.cache, needed=DISK_SPACE_NEEDED):
            contents = {**client_files(package_directory()), **installer.files}
            files = stage(context.source, template, contents)
        recipe = Recipe(base.id, options.architecture, installer.name, options.inputs, files)
        yield StagedImage(recipe, base, template, recipe.manifest(installer.lock))


def default_base(installer: Installer) -> DebianRelease:
    """Return the release to install an environment on: the one whose Python pip needs, else the newest."""
    lock = installer.lock
    found = release_with(lock.python) if installer.name == "pip" and lock.interpreter is None else None
    return found or NEWEST


def base_image(options: BakeOptions, ec2: BakeApi, installer: Installer) -> Image:
    """Return the image to start from: the one that was named, or the newest of Debian's for the release.

    Its id is part of the recipe, so a newer base makes another image.
    """
    base = options.base or default_base(installer)
    if isinstance(base, DebianRelease):
        return _newest(base, options.architecture, ec2)
    try:
        image = ec2.image(base)
    except BakeError as error:
        raise BakeError(error.message, hint="--base takes the id of an image in this region") from error
    if image.architecture != options.architecture:
        raise UsageError(
            f"--base {image.id} is for {image.architecture}, and --arch is {options.architecture}",
            hint=f"--arch {image.architecture}, or another --base",
        )
    release = release_of_image(image.name)
    lock = installer.lock
    runs_pip = installer.name == "pip" and lock.interpreter is None
    if release and runs_pip and release.python_minor != minor(lock.python):
        raise UsageError(
            f"--base {image.id} is {release} with Python {release.python_minor},"
            f" and the environment is locked for {minor(lock.python)}",
            hint=f"--base {default_base(installer).name}, or the dependency python={release.python_minor}",
        )
    return image


def _newest(release: DebianRelease, architecture: Architecture, ec2: BakeApi) -> Image:
    pattern = release.image_names(architecture)
    filters = {"name": pattern, "architecture": str(architecture), "state": "available"}
    images = ec2.find_images(owners=(DEBIAN_ACCOUNT,), filters=filters)
    if not images:
        raise BakeError(
            f"there is no image {pattern} of Debian's account {DEBIAN_ACCOUNT} in this region",
            hint="choose another region with --region, or an image with --base",
        )
    return images[0]


@contextmanager
def _stage(cache: Path) -> Iterator[Path]:
    """Make a folder in the cache, and remove those of killed bakes."""
    with explain_disk_errors(cache, needed=DISK_SPACE_NEEDED):
        cache.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(dir=cache, prefix="stage-")
    for abandoned in cache.glob("stage-*"):
        if time.time() - abandoned.stat().st_mtime > STAGE_EXPIRY:
            shutil.rmtree(abandoned, ignore_errors=True)
    with folder as name:
        yield Path(name, "stage")
