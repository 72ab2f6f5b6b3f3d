"""The bake command's core: reuse the image of a recipe, or build and verify one."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from dask_bake.bake.build import Build
from dask_bake.bake.context import BakeContext
from dask_bake.bake.lease import BakeLease
from dask_bake.bake.options import BakeOptions
from dask_bake.bake.plan import bake_name, launch_options
from dask_bake.bake.staging import StagedImage, stage_image
from dask_bake.clusters.ownership import current_owner
from dask_bake.errors import BakeError
from dask_bake.events import Event, Notify, PhaseEnded, Phases
from dask_bake.images.compatibility import check_architecture
from dask_bake.images.manifest import Manifest
from dask_bake.launch.discovery import find_subnets, find_types
from dask_bake.launch.placement import find_candidates
from dask_bake.launch.preflight import check_subnets
from dask_bake.models.ec2 import Image, Subnet
from dask_bake.models.tags import READY, Tag, Verified

LOOK_UP = "look up"
PACKAGES = "packages"


@dataclass(frozen=True)
class BakeResult:
    """The image of a bake; ``size`` is that of its packages, in bytes."""

    image: Image
    built: bool
    manifest: Manifest
    phases: tuple[tuple[str, float], ...] = ()
    size: int = 0


def bake(
    options: BakeOptions,
    context: BakeContext,
    *,
    notify: Notify,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> BakeResult:
    """Return the verified image of the recipe: an existing one, or one that is built now.

    Raises:
        UsageError: if the cloud cannot bake such an image; nothing was tried.
        BakeError: if it could not be built, or failed verification; nothing of it is left.
        LeftoverError: if something of it may be left.
    """
    work = _Bake(options, context, notify, clock, sleep, now)
    work.phases.enter(LOOK_UP)
    with stage_image(options, context) as staged:
        image = work.find(staged)
        if image is not None and work.is_usable(image):
            work.phases.leave()
            return work.result(image, staged, built=False)
        return work.make(staged, found=image)


@dataclass
class _Bake:
    """One bake in progress."""

    options: BakeOptions
    context: BakeContext
    tell: Notify
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    now: Callable[[], datetime]

    def __post_init__(self) -> None:
        self.ended: list[PhaseEnded] = []
        self.phases = Phases(self.notify, self.clock)
        self.size = 0

    def notify(self, event: Event) -> None:
        """Record the end of a phase, and pass the event on."""
        if isinstance(event, PhaseEnded):
            self.ended.append(event)
        self.tell(event)

    def result(self, image: Image, staged: StagedImage, *, built: bool) -> BakeResult:
        """Return the result of the bake."""
        seconds = tuple((event.phase, event.seconds) for event in self.ended)
        return BakeResult(image, built, staged.manifest, seconds, self.size)

    def find(self, staged: StagedImage) -> Image | None:
        """Return the newest image of the recipe, verified ones first; ``None`` with ``--force``.

        Images that are still being built or that failed verification are ignored.
        """
        if self.options.force:
            return None
        filters = {f"tag:{Tag.DIGEST}": staged.recipe.digest, "state": "available"}
        found = self.context.ec2.find_images(owners=("self",), filters=filters)
        rank = {Verified.YES: 2, Verified.SKIPPED: 1, "": 0}
        usable = [image for image in found if image.tag(Tag.VERIFIED) in rank]
        return max(usable, key=lambda image: rank[image.tag(Tag.VERIFIED)], default=None)

    def is_usable(self, image: Image) -> bool:
        """Return whether the image is verified, or need not be."""
        return image.tag(Tag.VERIFIED) in ((Verified.YES,) if self.options.verify else READY)

    def make(self, staged: StagedImage, *, found: Image | None) -> BakeResult:
        """Build the image unless it was found, and verify it, under a lease that keeps other bakes out."""
        context, bake_id, owner = self.context, secrets.token_hex(6), current_owner(self.context.ec2)
        subnets = self._places(staged.recipe.digest)
        lease = BakeLease(
            context.ec2,
            staged.recipe.digest,
            bake_id,
            owner,
            self.options.step_timeout,
            self.tell,
            self.clock,
            self.sleep,
            self.now,
        )
        build = Build(self.options, context, staged, lease.tags, owner, self.phases, self.notify, self.now)
        if found is None:
            builder = context.find_builder()
            builder.init(context.source / "plugins.pkr.hcl", self.notify)
            self.phases.enter(PACKAGES)
            self.size = build.bring()
        self.phases.leave()
        with lease.held(subnets[0], self.options.cidr or (context.caller(),)) as group:
            # Whoever held the lease before may have made it, or removed it.
            image = self.find(staged)
            if image is not None and self.is_usable(image):
                return self.result(image, staged, built=False)
            if image is not None:
                return self.result(build.finish(image), staged, built=False)
            if found is not None:
                raise BakeError(
                    "the image was removed while this command ran",
                    hint="run dask-bake bake again to build it",
                )
            return self.result(build.run(builder, subnets, group.id), staged, built=True)

    def _places(self, digest: str) -> tuple[Subnet, ...]:
        """Return a subnet of each zone that offers the type, in the order to try them.

        Raises:
            BakeError: if there is none, or if the type cannot run the image.
        """
        ec2, names = self.context.ec2, (self.options.instance_type,)
        wanted = Image("that is to be baked", "", "", self.now(), str(self.options.architecture))
        like = launch_options(self.options, bake_name(digest))
        subnets, types = find_subnets(like, ec2), find_types(like, ec2, names)
        check_subnets(like, subnets)
        check_architecture(wanted, types[0], self.context.cloud.architectures)
        return tuple(each.subnet for each in find_candidates(like, subnets, types, ec2.offerings(names)))
