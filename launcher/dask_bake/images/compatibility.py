"""What an image's tags say of it, against this machine's packages, the instance type and the calendar."""

import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from dask_bake.errors import BakeError, UsageError
from dask_bake.models.cloud import Architecture
from dask_bake.models.ec2 import Image, InstanceType
from dask_bake.models.tags import READY, Tag, Verified

OLD = timedelta(days=90)
TYPE_FOR = {Architecture.X86_64: "m6i.2xlarge", Architecture.ARM64: "m6g.2xlarge"}


@dataclass(frozen=True)
class Packages:
    """A client's own versions; ``None`` for a package that it does not have."""

    python: str
    dask: str | None = None
    distributed: str | None = None
    numpy: str | None = None
    pandas: str | None = None


@dataclass(frozen=True)
class Difference:
    """Something that the image has in another version; a grave one keeps a client from using the cluster."""

    what: str
    theirs: str
    ours: str
    is_grave: bool


def differences(image: Image, client: Packages) -> tuple[Difference, ...]:
    """What both have, in different versions; Python's patch release is no difference."""
    compared = (
        ("Python", image.tag(Tag.PYTHON), client.python, True),
        ("distributed", image.tag(Tag.DISTRIBUTED), client.distributed, True),
        ("dask", image.tag(Tag.DASK), client.dask, False),
        ("numpy", image.tag(Tag.NUMPY), client.numpy, False),
        ("pandas", image.tag(Tag.PANDAS), client.pandas, False),
    )
    return tuple(
        Difference(what, theirs, ours, is_grave)
        for what, theirs, ours, is_grave in compared
        if theirs and ours and not _agree(what, theirs, ours)
    )


def mismatches(image: Image, client: Packages, *, allow_mismatch: bool) -> tuple[str, ...]:
    """A sentence for each difference; a grave one that is not allowed is an error."""
    found = differences(image, client)
    grave = [each for each in found if each.is_grave]
    if grave and not allow_mismatch:
        theirs = " and ".join(f"{each.what} {each.theirs}" for each in grave)
        ours = " and ".join(f"{each.what} {each.ours}" for each in grave)
        raise UsageError(
            f"the image {image.id} has {theirs}, this machine {ours}:"
            " a client here would not understand the cluster",
            hint="dask-bake bake --from-env bakes this environment; --allow-mismatch launches all the same",
        )
    return tuple(
        f"The image has {each.what} {each.theirs}, this machine {each.ours}: {_consequence(each)}"
        for each in found
    )


def newest_proved(
    images: Sequence[Image], instance_type: InstanceType, *, python: str = platform.python_version()
) -> Image:
    """Return the first image that is verified and runs on the type, else the first that is verified.

    Images with the minor version of the client's ``python`` come before others: they are of use to it.
    """
    if not images:
        raise BakeError("there is no image to launch from", hint="dask-bake bake makes one")
    proved = [image for image in images if is_proved(image)]
    if not proved:
        raise BakeError(
            f"no image has been proved: {images[0].id} is still being tested, or its test failed",
            hint=f"dask-bake bake makes one that is; --ami {images[0].id} takes this one all the same",
        )
    fitting = [image for image in proved if image.architecture in instance_type.architectures]
    useful = [image for image in fitting if _agree("Python", image.tag(Tag.PYTHON), python)]
    return (useful or fitting or proved)[0]


def check_architecture(
    image: Image, instance_type: InstanceType, bakeable: Sequence[Architecture] = tuple(Architecture)
) -> None:
    """The type can run the image; ``bakeable`` are the architectures that an image can be baked for here."""
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
    """True for an image that ``dask-bake bake`` made."""
    return image.tag(Tag.MANAGED) == "true"


def is_proved(image: Image) -> bool:
    """True when its bake came to a good end, or was not to prove it."""
    return image.tag(Tag.VERIFIED) in READY


def doubts(image: Image) -> tuple[str, ...]:
    """What was not proved of a managed image."""
    if not is_managed(image) or image.tag(Tag.VERIFIED) == Verified.YES:
        return ()
    if is_proved(image):
        return (f"The image {image.id} was never booted in test: dask-bake bake proves it.",)
    return (
        f"The image {image.id} is still being tested, or its test failed: dask-bake bake makes one"
        " that is proved.",
    )


def base_names(image: Image) -> str | None:
    """What the newer images of its base are called; ``None`` where the base is not one of Debian's."""
    for architecture in Architecture:
        series = re.match(rf"debian-\d+-{architecture.debian}-(?=\d)", image.tag(Tag.BASE_NAME))
        if series and image.architecture == architecture:
            return f"{series[0]}*"
    return None


def staleness(image: Image, *, newest_base: str | None, now: datetime) -> tuple[str, ...]:
    """Why a managed image should be baked anew; ``newest_base`` is what ``base_names`` finds, if known."""
    base = image.tag(Tag.BASE_NAME)
    if is_managed(image) and base and newest_base not in (None, base):
        return (f"The image's base {base} has been superseded by {newest_base}: dask-bake bake takes that.",)
    age = now - image.created
    # Where EC2 does not say when an image was made, that is the epoch.
    if is_managed(image) and image.created.timestamp() and age > OLD:
        return (f"The image is {age.days} days old: dask-bake lock, then dask-bake bake, renew it.",)
    return ()


def _agree(what: str, theirs: str, ours: str) -> bool:
    if what == "Python":
        return theirs.split(".")[:2] == ours.split(".")[:2]
    return theirs == ours


def _consequence(difference: Difference) -> str:
    if difference.is_grave:
        return "a client here may not understand the cluster."
    return "what one side sends may mean something else on the other."
