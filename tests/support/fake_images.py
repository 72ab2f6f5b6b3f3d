"""Sample images, snapshots and facts, and an in-memory EC2 of images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from dask_bake.environment.pip_lock import Package
from dask_bake.errors import BakeError
from dask_bake.images import manifest
from dask_bake.images.copy_plan import CopyPlan, plan_copy
from dask_bake.images.facts import ImageFacts
from dask_bake.images.manifest import File, Manifest
from dask_bake.models.ec2 import Image, ImageSettings, Snapshot
from dask_bake.models.tags import Tag, Tags

NOW = datetime(2026, 8, 3, 12, tzinfo=UTC)
BASE = "debian-12-amd64-20260701-2100"
NEWER_BASE = "debian-12-amd64-20260801-2200"
MANIFEST = Manifest(
    digest="ed445aa9bbd4" + "0" * 52,
    python="3.11.2",
    inputs=(("base_image", "ami-base"), ("installer", "pip")),
    files=(
        File("environment.yml", "e" * 64),
        File("scripts/10-system.sh", "a" * 64, executable=True),
    ),
    packages=(
        Package("dask", "2026.8.0", "d" * 64),
        Package("numpy", "2.3.0", "c" * 64, "conda", "py311_0", "conda-forge", "linux-64"),
    ),
)


def an_image(number: int = 1, *, days: float = 1, state: str = "available", **tags: str | None) -> Image:
    """Return an image with its own digest; ``verified=None`` leaves a tag out, ``dask="1"`` sets one."""
    values: dict[str, str | None] = {
        "managed": "true",
        "digest": f"{number:x}" * 64,
        "python": "3.11.2",
        "dask": "2026.8.0",
        "distributed": "2026.8.0",
        "installer": "pip",
        "base": "ami-base",
        "base-name": BASE,
        "verified": "yes",
        **{key.replace("_", "-"): value for key, value in tags.items()},
    }
    return Image(
        id=f"ami-{number:017x}",
        name=f"dask-bake-{number:012x}",
        state=state,
        created=NOW - timedelta(days=days),
        root_size=10,
        snapshot_id=f"snap-{number:017x}",
        tags=tuple(sorted((f"dask-bake:{key}", value) for key, value in values.items() if value is not None)),
    )


def a_snapshot(number: int = 1, *, days: float = 1, **fields) -> Snapshot:
    """Return the snapshot of the image of that number."""
    values = {"volume_size": 10, "bytes": 1_234_000_000, "encrypted": True, **fields}
    return Snapshot(f"snap-{number:017x}", started=NOW - timedelta(days=days), **values)


def some_facts(number: int = 1, *, users: tuple[str, ...] = (), newest_base: str = "", **image) -> ImageFacts:
    """Return the facts of the image of that number."""
    return ImageFacts(an_image(number, **image), a_snapshot(number), users, newest_base)


def holding(facts: ImageFacts, held: Manifest = MANIFEST) -> ImageFacts:
    """Return the same image with a manifest in its tags."""
    tags = {**dict(facts.image.tags), **dict(manifest.as_tags(held)[0]), Tag.DIGEST: held.digest}
    return replace(facts, image=replace(facts.image, tags=tuple(sorted(tags.items()))))


@dataclass
class FakeImages:
    """In-memory images of one region; a call named in ``faults`` raises after it has done its work."""

    images: list[Image] = field(default_factory=list)
    snapshot_list: list[Snapshot] = field(default_factory=list)
    users: dict[str, tuple[str, ...]] = field(default_factory=dict)
    bases: tuple[Image, ...] = ()
    settings: dict[str, ImageSettings] = field(default_factory=dict)
    faults: dict[str, list[BaseException]] = field(default_factory=dict)
    calls: list[tuple[object, ...]] = field(default_factory=list)
    tokens: dict[str, str] = field(default_factory=dict)

    def mine(self) -> tuple[Image, ...]:
        return tuple(sorted(self.images, key=lambda each: each.created, reverse=True))

    def published(self, patterns: Sequence[str]) -> tuple[Image, ...]:
        self.calls.append(("published", tuple(patterns)))
        return self.bases

    def snapshots(self, ids: Sequence[str]) -> Mapping[str, Snapshot]:
        return {each.id: each for each in self.snapshot_list if each.id in ids}

    def tagged_snapshots(self) -> tuple[Snapshot, ...]:
        return tuple(self.snapshot_list)

    def users_of(self, image_ids: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
        return {each: self.users[each] for each in image_ids if each in self.users}

    def settings_of(self, image_id: str) -> ImageSettings:
        self.calls.append(("settings_of", image_id))
        return self.settings.get(image_id, ImageSettings())

    def require_imdsv2(self, image_id: str) -> None:
        self._did("require_imdsv2", image_id)

    def deprecate(self, image_id: str, when: datetime) -> None:
        self._did("deprecate", image_id, when)

    def tag(self, resource_ids: Sequence[str], tags: Tags) -> None:
        self.images = [
            replace(each, tags=tuple(sorted({**dict(each.tags), **dict(tags)}.items())))
            if each.id in resource_ids
            else each
            for each in self.images
        ]
        self._did("tag", *resource_ids)

    def remove(self, image: Image) -> None:
        self.images = [each for each in self.images if each.id != image.id]
        self._did("remove", image.id)
        self.snapshot_list = [each for each in self.snapshot_list if each.id != image.snapshot_id]

    def remove_snapshot(self, snapshot_id: str) -> None:
        self.snapshot_list = [each for each in self.snapshot_list if each.id != snapshot_id]
        self._did("remove_snapshot", snapshot_id)

    def copy(self, image: Image, *, client_token: str, name: str, tags: Tags, **about) -> str:
        if client_token not in self.tokens:
            self.tokens[client_token] = f"ami-copy{len(self.tokens)}"
            copied = replace(
                image,
                id=self.tokens[client_token],
                name=name,
                tags=tags,
                state="pending",
                snapshot_id="snap-copy",
            )
            self.images.append(copied)
        self._did("copy", image.id, name)
        return self.tokens[client_token]

    def wait_available(self, image_id: str, *, timeout: float) -> Image:
        self._did("wait_available", image_id)
        self.images = [
            replace(each, state="available") if each.id == image_id else each for each in self.images
        ]
        (image,) = (each for each in self.images if each.id == image_id)
        return image

    def share(self, image: Image, accounts: Sequence[str]) -> None:
        self._did("share", image.id, *accounts)

    def unshare(self, image: Image, accounts: Sequence[str]) -> None:
        self._did("unshare", image.id, *accounts)

    def _did(self, *call: object) -> None:
        self.calls.append(call)
        faults = self.faults.get(str(call[0]), [])
        if faults:
            raise faults.pop(0)


def refused(message: str = "no") -> BakeError:
    """Return the error of a request that EC2 refuses."""
    return BakeError(message, hint="a way out")


def a_copy_plan(facts=None, *, there=(), region="eu-west-1", **settings) -> CopyPlan:
    """Return the plan of a copy from us-east-1 to the region; ``there`` are the region's images."""
    return plan_copy(
        facts or some_facts(),
        ImageSettings(**settings),
        from_region="us-east-1",
        to_region=region,
        there=there,
        now=NOW,
    )
