"""Check an image's compatibility: package versions, architecture, age."""

import platform
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import metadata

from dask_bake.errors import BakeError, UsageError
from dask_bake.models.cloud import Architecture
from dask_bake.models.ec2 import Image, InstanceType
from dask_bake.models.tags import DEFAULT_ENVIRONMENT, READY, Tag, Tags, Verified

OLD = timedelta(days=90)
TYPE_FOR = {Architecture.X86_64: "m6i.2xlarge", Architecture.ARM64: "m6g.2xlarge"}


@dataclass(frozen=True)
class Packages:
    """The client's own versions; ``None`` for a package that it does not have."""

    python: str
    dask: str | None = None
    distributed: str | None = None
    numpy: str | None = None
    pandas: str | None = None


@dataclass(frozen=True)
class Mismatch:
    """A package whose version differs; a grave one prevents the client from using the cluster."""

    what: str
    theirs: str
    ours: str
    is_grave: bool


def differences(image: Image, client: Packages) -> tuple[Mismatch, ...]:
    """Return the packages that both have in different versions; a patch release of Python is none."""
    return _compare(image.tags, client)


def _compare(tags: Tags, client: Packages) -> tuple[Mismatch, ...]:
    versions = dict(tags)
    compared = (
        ("Python", versions.get(Tag.PYTHON), client.python, True),
        ("distributed", versions.get(Tag.DISTRIBUTED), client.distributed, True),
        ("dask", versions.get(Tag.DASK), client.dask, False),
        ("numpy", versions.get(Tag.NUMPY), client.numpy, False),
        ("pandas", versions.get(Tag.PANDAS), client.pandas, False),
    )
    return tuple(
        Mismatch(what, theirs, ours, is_grave)
        for what, theirs, ours, is_grave in compared
        if theirs and ours and not _agree(what, theirs, ours)
    )


def mismatches(image: Image, client: Packages, *, allow_mismatch: bool) -> tuple[str, ...]:
    """Return a sentence for each difference; raise for a grave one that is not allowed."""
    found = differences(image, client)
    if not allow_mismatch and (theirs_ours := _grave(found)):
        raise UsageError(
            f"the image {image.id} has {theirs_ours}: a client on this machine could not use the cluster",
            hint="dask-bake bake --from-env bakes this environment; --allow-mismatch launches it anyway",
        )
    return tuple(
        f"The image has {each.what} {each.theirs}, this machine {each.ours}: {_consequence(each)}"
        for each in found
    )


def check_client(tags: Tags, client: Packages, *, cluster: str) -> None:
    """Raise if the client's Python or distributed differs from the cluster's: it could end the scheduler.

    Args:
        tags: those of a node or of the image.
    """
    if theirs_ours := _grave(_compare(tags, client)):
        python = ".".join(dict(tags).get(Tag.PYTHON, client.python).split(".")[:2])
        raise UsageError(
            f"the cluster {cluster} has {theirs_ours}: its scheduler could not read what this client sends",
            hint=f"use the cluster's versions, for example by uv run --python {python}; or dask-bake bake"
            " --from-env bakes this environment; connect(…, allow_mismatch=True) connects anyway",
        )


def installed_packages() -> Packages:
    """Return the versions of a client in this process's environment."""
    return Packages(
        python=platform.python_version(),
        dask=_installed("dask"),
        distributed=_installed("distributed"),
        numpy=_installed("numpy"),
        pandas=_installed("pandas"),
    )


def newest_verified(
    images: Sequence[Image],
    instance_type: InstanceType,
    *,
    environment: str | None = None,
    python: str = platform.python_version(),
) -> Image:
    """Return the environment's first verified image that runs on the type, else its first verified image.

    Images with the minor version of the client's ``python`` come before others: they are of use to it.

    Args:
        images: the account's baked images, newest first.
        environment: the name in its environment.yml; ``None`` for the default one.
    """
    if not images:
        raise BakeError(
            "there is no image to launch from",
            hint="dask-bake bake makes one; where another region has one, it is faster to run dask-bake"
            " images copy --region THERE --to-region HERE",
        )
    images = _of_environment(images, environment or DEFAULT_ENVIRONMENT)
    verified = [image for image in images if is_verified(image)]
    if not verified:
        raise BakeError(
            f"no image is verified: {images[0].id} is still being verified, or failed",
            hint=f"dask-bake bake makes one that is; --ami {images[0].id} uses this one anyway",
        )
    fitting = [image for image in verified if image.architecture in instance_type.architectures]
    useful = [image for image in fitting if _agree("Python", image.tag(Tag.PYTHON), python)]
    return (useful or fitting or verified)[0]


def _of_environment(images: Sequence[Image], environment: str) -> tuple[Image, ...]:
    """Return the images of that environment; images without a name are of the default one."""
    names = [image.tag(Tag.ENVIRONMENT) or DEFAULT_ENVIRONMENT for image in images]
    found = tuple(image for image, name in zip(images, names, strict=True) if name == environment)
    if not found:
        others = ", ".join(f"--image {shlex.quote(name)}" for name in dict.fromkeys(names))
        raise BakeError(
            f"there is no image of the environment {environment}",
            hint=f"dask-bake bake makes one; images of others: {others}",
        )
    return found


def check_architecture(
    image: Image, instance_type: InstanceType, bakeable: Sequence[Architecture] = tuple(Architecture)
) -> None:
    """Raise if the type cannot run the image; ``bakeable`` are the architectures to bake for here."""
    if image.architecture in instance_type.architectures:
        return
    ways = [f"--type {fitting} runs it" for name, fitting in TYPE_FOR.items() if name == image.architecture]
    ways += [
        f"dask-bake bake --arch {name} makes one for {instance_type.name}"
        for name in bakeable
        if name in instance_type.architectures
    ]
    raise UsageError(
        f"the image {image.id} is {image.architecture},"
        f" the type {instance_type.name} is {' or '.join(instance_type.architectures)}",
        hint="; ".join(ways) or "take another --type",
    )


def is_managed(image: Image) -> bool:
    """Return whether ``dask-bake bake`` made the image."""
    return image.tag(Tag.MANAGED) == "true"


def is_verified(image: Image) -> bool:
    """Return whether the image is verified, or was baked with ``--no-verify``."""
    return image.tag(Tag.VERIFIED) in READY


def doubts(image: Image) -> tuple[str, ...]:
    """Return warnings about a managed image that was not verified."""
    if not is_managed(image) or image.tag(Tag.VERIFIED) == Verified.YES:
        return ()
    if is_verified(image):
        return (f"The image {image.id} was not verified: dask-bake bake verifies it.",)
    return (
        f"The image {image.id} is still being verified, or its verification failed: dask-bake bake makes"
        " one that is verified.",
    )


def base_names(image: Image) -> str | None:
    """Return the pattern of the names of newer base images; ``None`` where the base is not Debian's."""
    for architecture in Architecture:
        series = re.match(rf"debian-\d+-{architecture.debian}-(?=\d)", image.tag(Tag.BASE_NAME))
        if series and image.architecture == architecture:
            return f"{series[0]}*"
    return None


def staleness(image: Image, *, newest_base: str | None, now: datetime) -> tuple[str, ...]:
    """Return why a managed image should be baked again; ``newest_base`` is what ``base_names`` finds."""
    base = image.tag(Tag.BASE_NAME)
    if is_managed(image) and base and newest_base not in (None, base):
        return (f"The image's base {base} has been superseded by {newest_base}: dask-bake bake uses that.",)
    age = now - image.created
    # Where EC2 does not say when an image was made, that is the epoch.
    if is_managed(image) and image.created.timestamp() and age > OLD:
        return (f"The image is {age.days} days old: dask-bake lock, then dask-bake bake, renew it.",)
    return ()


def _agree(what: str, theirs: str, ours: str) -> bool:
    if what == "Python":
        return theirs.split(".")[:2] == ours.split(".")[:2]
    return theirs == ours


def _installed(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _grave(found: Sequence[Mismatch]) -> str:
    """Return the versions that prevent a client from using the cluster, and the client's own."""
    grave = [each for each in found if each.is_grave]
    theirs = " and ".join(f"{each.what} {each.theirs}" for each in grave)
    ours = " and ".join(f"{each.what} {each.ours}" for each in grave)
    return f"{theirs}, this machine {ours}" if grave else ""


def _consequence(difference: Mismatch) -> str:
    if difference.is_grave:
        return "a client on this machine may fail to use the cluster."
    return "data that one side sends may not work on the other."
