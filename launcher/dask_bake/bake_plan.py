"""What Packer is told of an image, decided before it is run."""

from collections.abc import Set
from dataclasses import dataclass

from dask_bake.lock import Lock
from dask_bake.models import Cloud, Tag, Tags
from dask_bake.recipe import Recipe


@dataclass(frozen=True)
class BakeOptions:
    """What a user may choose of an image, and of the instance that it is baked on."""

    force: bool = False
    instance_type: str = "m5.large"
    volume_size: int = 10
    user: str = "admin"

    @property
    def inputs(self) -> Tags:
        """The choices that are in the image, and so in its digest."""
        return (("user", self.user), ("volume_size", str(self.volume_size)))


def image_name(recipe: Recipe) -> str:
    """The name of the recipe's first image."""
    return f"dask-bake-{recipe.digest[:12]}"


def free_name(name: str, taken: Set[str]) -> str:
    """The name, numbered if it must be: names are unique, also those of images that failed."""
    names = (name, *(f"{name}-{number}" for number in range(2, len(taken) + 2)))
    return next(each for each in names if each not in taken)


def image_tags(options: BakeOptions, recipe: Recipe, lock: Lock) -> Tags:
    """What an image is found by, and what a client compares itself with."""
    return (
        (Tag.MANAGED, "true"),
        (Tag.DIGEST, recipe.digest),
        (Tag.BASE, recipe.base_image),
        (Tag.INSTALLER, recipe.installer),
        (Tag.USER, options.user),
        (Tag.PYTHON, lock.python),
        (Tag.DASK, lock.version("dask")),
        (Tag.DISTRIBUTED, lock.version("distributed")),
    )


def packer_variables(
    options: BakeOptions, cloud: Cloud, *, name: str, tags: Tags, base_image: str, caller: str, subnet_id: str
) -> dict[str, object]:
    """The values of variables.pkr.hcl."""
    return {
        "region": cloud.region,
        "endpoint": cloud.endpoint_url or "",
        "base_image": base_image,
        "image_name": name,
        "image_tags": {"Name": name, **dict(tags)},
        "caller_cidr": caller,
        "subnet_id": subnet_id,
        "instance_type": options.instance_type,
        "volume_size": options.volume_size,
        "ssh_username": options.user,
    }
