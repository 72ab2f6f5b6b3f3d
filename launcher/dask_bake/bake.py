"""Finds the image that a recipe describes, or builds it: against Protocols."""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from dask_bake import manifest
from dask_bake.bake_plan import BakeOptions, free_name, image_name, image_tags, packer_variables
from dask_bake.disk import room_in
from dask_bake.errors import BakeError
from dask_bake.events import Event, Notify, PhaseEnded
from dask_bake.installers import Installer
from dask_bake.manifest import Package
from dask_bake.models import DEBIAN_ACCOUNT, Cloud, Image, Subnet, Tag
from dask_bake.phases import Phases
from dask_bake.recipe import Recipe, pack_rootfs, stage

DEBIAN_NAMES = "debian-12-amd64-*"
ARCHITECTURE = "x86_64"
LOOK_UP = "look up"
PACKAGES = "packages"
ROOM = 300 << 20


class Ec2(Protocol):
    """What a bake asks of EC2."""

    def find_images(self, *, owners: tuple[str, ...], filters: Mapping[str, str]) -> tuple[Image, ...]:
        """The images that match, newest first."""

    def image(self, image_id: str) -> Image:
        """The image."""

    def default_subnet(self) -> Subnet:
        """A subnet to bake in."""


class Builder(Protocol):
    """What a bake asks of Packer."""

    def init(self, plugins: Path, notify: Notify) -> None:
        """The builder can be used."""

    def build(
        self, template: Path, variables: Mapping[str, object], credentials: Mapping[str, str], notify: Notify
    ) -> str:
        """The id of the image that was built."""


@dataclass(frozen=True)
class Workshop:
    """All that a bake works with: the cloud and its edges, what an image is, where there is room.

    ``find_builder`` and ``caller`` are asked only when there is something to build.
    """

    cloud: Cloud
    ec2: Ec2
    find_builder: Callable[[], Builder]
    installer: Installer
    caller: Callable[[], str]
    source: Path
    cache: Path


@dataclass(frozen=True)
class BakeResult:
    """The image, and how it came to be there; ``size`` is that of the packages brought along."""

    image: Image
    built: bool
    digest: str
    python: str
    packages: tuple[Package, ...]
    phases: tuple[tuple[str, float], ...] = ()
    size: int = 0


def bake(
    options: BakeOptions, workshop: Workshop, *, notify: Notify, clock: Callable[[], float] = time.monotonic
) -> BakeResult:
    """The image of the recipe: the one that is there, or one built now."""
    ended: list[PhaseEnded] = []
    tell = _also_into(ended, notify)
    phases = Phases(tell, clock)
    lock = workshop.installer.lock
    with _stage(workshop.cache) as template:
        phases.enter(LOOK_UP)
        recipe = _recipe(options, workshop, template)
        image = None if options.force else _find(workshop.ec2, recipe)
        built, size = image is None, 0
        if image is None:
            builder = workshop.find_builder()
            phases.enter(PACKAGES)
            size = _bring(recipe, workshop.installer, template, tell)
            phases.leave()
            image = _build(options, workshop, builder, recipe, template, tell)
        phases.leave()
    seconds = tuple((event.phase, event.seconds) for event in ended)
    return BakeResult(image, built, recipe.digest, lock.python, lock.packages, seconds, size)


@contextmanager
def _stage(cache: Path) -> Iterator[Path]:
    """A folder that does not exist yet and will not be left: where there is room for wheels."""
    with room_in(cache, needed=ROOM):
        cache.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(dir=cache, prefix="stage-")
    with folder as name:
        yield Path(name, "stage")


def _recipe(options: BakeOptions, workshop: Workshop, template: Path) -> Recipe:
    base = _base_image(workshop.ec2)
    with room_in(workshop.cache, needed=ROOM):
        files = stage(workshop.source, template, workshop.installer.files)
    return Recipe(base.id, ARCHITECTURE, workshop.installer.name, options.inputs, files)


def _base_image(ec2: Ec2) -> Image:
    filters = {"name": DEBIAN_NAMES, "architecture": ARCHITECTURE, "state": "available"}
    images = ec2.find_images(owners=(DEBIAN_ACCOUNT,), filters=filters)
    if not images:
        raise BakeError(
            f"there is no image {DEBIAN_NAMES} of Debian's account {DEBIAN_ACCOUNT} in this region",
            hint="choose another region with --region",
        )
    return images[0]


def _find(ec2: Ec2, recipe: Recipe) -> Image | None:
    """The newest image of that recipe; one that is still being made is none."""
    filters = {f"tag:{Tag.DIGEST}": recipe.digest, "state": "available"}
    return next(iter(ec2.find_images(owners=("self",), filters=filters)), None)


def _bring(recipe: Recipe, installer: Installer, template: Path, notify: Notify) -> int:
    """The size of the packages, once the payload has everything."""
    with room_in(template, needed=ROOM):
        payload = pack_rootfs(template)
        (payload / "manifest.json").write_text(manifest.render(recipe.manifest(installer.lock)))
        for name in installer.files:
            shutil.copyfile(template / name, payload / name)
    return installer.bring(payload, notify)


def _build(
    options: BakeOptions, workshop: Workshop, builder: Builder, recipe: Recipe, template: Path, notify: Notify
) -> Image:
    """The image as EC2 describes it, once Packer has built it."""
    cloud, ec2 = workshop.cloud, workshop.ec2
    name = image_name(recipe)
    taken = {image.name for image in ec2.find_images(owners=("self",), filters={"name": f"{name}*"})}
    variables = packer_variables(
        options,
        cloud,
        name=free_name(name, taken),
        tags=image_tags(options, recipe, workshop.installer.lock),
        base_image=recipe.base_image,
        caller=workshop.caller(),
        subnet_id=ec2.default_subnet().id,
    )
    builder.init(workshop.source / "plugins.pkr.hcl", notify)
    return ec2.image(builder.build(template, variables, dict(cloud.environment), notify))


def _also_into(ended: list[PhaseEnded], notify: Notify) -> Notify:
    def tell(event: Event) -> None:
        if isinstance(event, PhaseEnded):
            ended.append(event)
        notify(event)

    return tell
