"""Finds the image that a recipe describes, or builds it, and has it prove itself: against Protocols."""

import secrets
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from dask_bake import manifest
from dask_bake.bake_claim import Claim
from dask_bake.bake_draft import Draft, draft
from dask_bake.bake_edges import Builder, Ec2, Workshop
from dask_bake.bake_plan import BakeOptions, Site, free_name, image_name, image_tags, packer_variables
from dask_bake.disk import room_in
from dask_bake.errors import BakeError, LeftoverError
from dask_bake.events import Event, Note, Notify, PhaseEnded
from dask_bake.models import Image, Subnet, Tag, Verified
from dask_bake.phases import Phases
from dask_bake.recipe import Recipe, pack_rootfs
from dask_bake.secrets_folder import new_key

LOOK_UP = "look up"
PACKAGES = "packages"
SEAL = "seal"
ROOM = 300 << 20


@dataclass(frozen=True)
class BakeResult:
    """The image, and how it came to be there; ``size`` is that of the packages brought along."""

    image: Image
    built: bool
    manifest: manifest.Manifest
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
        self.bake_id = secrets.token_hex(6)
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
        """The image of that recipe which is there, unless it is to be built anyway."""
        return None if self.options.force else _find(self.workshop.ec2, drafted.recipe)

    def counts(self, image: Image) -> bool:
        """Whether the image has proved itself, or need not."""
        return image.tag(Tag.VERIFIED) in ((Verified.YES,) if self.options.verify else tuple(Verified))

    def make(self, drafted: Draft, *, found: Image | None) -> BakeResult:
        """The image, built unless it was found, and proved; under a claim: nobody else makes it meanwhile."""
        workshop, ec2 = self.workshop, self.workshop.ec2
        builder = None
        if found is None:
            builder = workshop.find_builder()
            self.phases.enter(PACKAGES)
            self.size = self._bring(drafted)
        self.phases.leave()
        subnet = ec2.default_subnet()
        with self._claim(drafted).held(subnet, workshop.caller()) as group:
            # Whoever held the claim before may have made it, or removed it.
            image = self.find(drafted)
            if image is not None and self.counts(image):
                return self.result(image, drafted, built=False)
            if image is not None:
                return self.result(self._finish(image, drafted), drafted, built=False)
            if builder is None:
                raise BakeError(
                    "the image that was there has gone in this moment", hint="bake again: it will be built"
                )
            image = self._build(drafted, builder, subnet, group.id)
            with self._removed_on_failure(image):
                return self.result(self._finish(image, drafted), drafted, built=True)

    def _claim(self, drafted: Draft) -> Claim:
        return Claim(
            self.workshop.ec2,
            drafted.recipe.digest,
            self.bake_id,
            self.options.timeout,
            self.tell,
            self.clock,
            self.sleep,
        )

    def _bring(self, drafted: Draft) -> int:
        """The size of the packages, once the payload has everything."""
        installer, template = self.workshop.installer, drafted.template
        with room_in(template, needed=ROOM):
            payload = pack_rootfs(template)
            (payload / "manifest.json").write_text(manifest.render(drafted.manifest))
            for name in installer.files:
                (payload / name).write_bytes((template / name).read_bytes())
        return installer.bring(payload, self.notify)

    def _build(self, drafted: Draft, builder: Builder, subnet: Subnet, group_id: str) -> Image:
        """The image as EC2 describes it, once Packer has built it."""
        cloud, ec2, template = self.workshop.cloud, self.workshop.ec2, drafted.template
        name = image_name(drafted.recipe)
        taken = {image.name for image in ec2.find_images(owners=("self",), filters={"name": f"{name}*"})}
        name = free_name(name, taken)
        environment, lock = self.workshop.installer.environment, self.workshop.installer.lock
        with self._key(template) as (key, user_data):
            site = Site(subnet.id, group_id, user_data, key, self._claim(drafted).tags)
            tags = image_tags(self.options, drafted.recipe, drafted.base, environment.name, lock)
            variables = packer_variables(
                self.options, cloud, site, name=name, tags=tags, base_image=drafted.base.id
            )
            builder.init(self.workshop.source / "plugins.pkr.hcl", self.notify)
            try:
                return ec2.image(builder.build(template, variables, dict(cloud.environment), self.notify))
            except BaseException:
                self._remove_half_made(name)
                raise

    @contextmanager
    def _key(self, template: Path) -> Iterator[tuple[Path, Path]]:
        """A key for this one instance, and the user-data that lets it in: no key pair is made in EC2."""
        pair = new_key("dask-bake bake")
        with tempfile.TemporaryDirectory(dir=template.parent, prefix="key-") as name:
            key, user_data = Path(name, "id_ed25519"), Path(name, "user-data")
            key.touch(mode=0o600)
            key.write_text(pair.private)
            user_data.write_text(f"#cloud-config\nssh_authorized_keys:\n  - {pair.public}\n")
            yield key, user_data

    def _finish(self, image: Image, drafted: Draft) -> Image:
        """The image with everything that Packer cannot say of it, proved if it is to be."""
        images = self.workshop.images
        self.phases.enter(SEAL)
        own, spilled = manifest.as_tags(drafted.manifest)
        images.tag([image.id], own)
        if image.snapshot_id is not None and spilled:
            images.tag([image.snapshot_id], spilled)
        images.require_imdsv2(image.id)
        if self.options.deprecate_after:
            images.deprecate(image.id, self.now() + timedelta(days=self.options.deprecate_after))
        self.phases.leave()
        if self.options.verify:
            self.workshop.prover.prove(image, self.options, self.notify)
        verified = Verified.YES if self.options.verify else Verified.SKIPPED
        images.tag([image.id], ((Tag.VERIFIED, str(verified)),))
        return self.workshop.ec2.image(image.id)

    @contextmanager
    def _removed_on_failure(self, image: Image) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            self._remove(image, error)
            raise

    def _remove_half_made(self, name: str) -> None:
        """Whatever image Packer left of that name, which nobody but this bake can have made."""
        try:
            images = self.workshop.ec2.find_images(owners=("self",), filters={"name": name})
        except BakeError as error:
            raise LeftoverError(
                f"an image {name} may be left, as it cannot be looked for: {error.message}",
                hint="dask-bake images lists it, dask-bake images remove removes it",
            ) from error
        for image in images:
            self._remove(image, None)

    def _remove(self, image: Image, reason: BaseException | None) -> None:
        try:
            self.workshop.images.remove(image)
        except BakeError as error:
            why = f"{reason}; " if isinstance(reason, BakeError) else ""
            raise LeftoverError(
                f"{why}the image {image.id} ({image.name}) is left, with its snapshot: {error.message}",
                hint=f"dask-bake images remove {image.id} --yes removes it, once that is possible",
            ) from error
        self.tell(Note(f"The image {image.id} was removed."))


def _find(ec2: Ec2, recipe: Recipe) -> Image | None:
    """The newest image of that recipe, a proved one before others; one that is still being made is none."""
    filters = {f"tag:{Tag.DIGEST}": recipe.digest, "state": "available"}
    found = ec2.find_images(owners=("self",), filters=filters)
    rank = ("", Verified.SKIPPED, Verified.YES)
    return max(reversed(found), key=lambda image: rank.index(image.tag(Tag.VERIFIED)), default=None)
