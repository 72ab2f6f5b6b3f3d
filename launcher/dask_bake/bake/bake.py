"""Finds the image that a recipe describes, or has it built and proved: against Protocols."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from dask_bake.bake.build import Build
from dask_bake.bake.context import Workshop
from dask_bake.bake.lease import Claim
from dask_bake.bake.options import BakeOptions
from dask_bake.bake.staging import Draft, draft
from dask_bake.errors import BakeError
from dask_bake.events import Event, Notify, PhaseEnded, Phases
from dask_bake.images.compatibility import check_architecture
from dask_bake.images.manifest import Manifest
from dask_bake.launch.placement import first_subnet
from dask_bake.models.ec2 import Image
from dask_bake.models.tags import READY, Tag, Verified

LOOK_UP = "look up"
PACKAGES = "packages"


@dataclass(frozen=True)
class BakeResult:
    """The image, and how it came to be there; ``size`` is that of the packages brought along."""

    image: Image
    built: bool
    manifest: Manifest
    phases: tuple[tuple[str, float], ...] = ()
    size: int = 0


def bake(
    options: BakeOptions,
    workshop: Workshop,
    *,
    notify: Notify,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> BakeResult:
    """The image of the recipe, proved: the one that is there, or one built now.

    Raises:
        UsageError: when the cloud cannot do what is asked for; nothing was tried.
        BakeError: when it could not be built or did not prove itself; nothing of it is left.
        LeftoverError: when something of it is left.
    """
    work = _Bake(options, workshop, notify, clock, sleep, now)
    work.phases.enter(LOOK_UP)
    with draft(options, workshop) as drafted:
        image = work.find(drafted)
        if image is not None and work.counts(image):
            work.phases.leave()
            return work.result(image, drafted, built=False)
        return work.make(drafted, found=image)


@dataclass
class _Bake:
    """One bake while it goes on."""

    options: BakeOptions
    workshop: Workshop
    tell: Notify
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    now: Callable[[], datetime]

    def __post_init__(self) -> None:
        self.ended: list[PhaseEnded] = []
        self.phases = Phases(self.notify, self.clock)
        self.size = 0

    def notify(self, event: Event) -> None:
        """Told on, and phases remembered."""
        if isinstance(event, PhaseEnded):
            self.ended.append(event)
        self.tell(event)

    def result(self, image: Image, drafted: Draft, *, built: bool) -> BakeResult:
        """What came of it."""
        seconds = tuple((event.phase, event.seconds) for event in self.ended)
        return BakeResult(image, built, drafted.manifest, seconds, self.size)

    def find(self, drafted: Draft) -> Image | None:
        """The newest image of the recipe, a proved one before others, unless it is to be built anyway.

        One that is still being made is none, nor is one that failed its proof.
        """
        if self.options.force:
            return None
        filters = {f"tag:{Tag.DIGEST}": drafted.recipe.digest, "state": "available"}
        found = self.workshop.ec2.find_images(owners=("self",), filters=filters)
        rank = {Verified.YES: 2, Verified.SKIPPED: 1, "": 0}
        usable = [image for image in found if image.tag(Tag.VERIFIED) in rank]
        return max(usable, key=lambda image: rank[image.tag(Tag.VERIFIED)], default=None)

    def counts(self, image: Image) -> bool:
        """Whether the image has proved itself, or need not."""
        return image.tag(Tag.VERIFIED) in ((Verified.YES,) if self.options.verify else READY)

    def make(self, drafted: Draft, *, found: Image | None) -> BakeResult:
        """The image, built unless it was found, and proved; under a claim: nobody else makes it meanwhile."""
        workshop, bake_id = self.workshop, secrets.token_hex(6)
        subnet = first_subnet(workshop.ec2.subnets())
        self._check_type()
        claim = Claim(
            workshop.ec2,
            drafted.recipe.digest,
            bake_id,
            self.options.timeout,
            self.tell,
            self.clock,
            self.sleep,
            self.now,
        )
        build = Build(self.options, workshop, drafted, claim.tags, self.phases, self.notify, self.now)
        if found is None:
            builder = workshop.find_builder()
            builder.init(workshop.source / "plugins.pkr.hcl", self.notify)
            self.phases.enter(PACKAGES)
            self.size = build.bring()
        self.phases.leave()
        with claim.held(subnet, workshop.caller()) as group:
            # Whoever held the claim before may have made it, or removed it.
            image = self.find(drafted)
            if image is not None and self.counts(image):
                return self.result(image, drafted, built=False)
            if image is not None:
                return self.result(build.finish(image), drafted, built=False)
            if found is not None:
                raise BakeError(
                    "the image that was there has gone in this moment", hint="bake again: it will be built"
                )
            return self.result(build.run(builder, subnet, group.id), drafted, built=True)

    def _check_type(self) -> None:
        """Raises where the instances that it would take cannot run the image."""
        (kind,) = self.workshop.ec2.instance_types((self.options.instance_type,))
        wanted = Image("that is to be baked", "", "", self.now(), str(self.options.architecture))
        check_architecture(wanted, kind, self.workshop.cloud.architectures)
