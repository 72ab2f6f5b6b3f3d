"""Bakes against an EC2 in a list, a Packer that records its input, and a verification with a set result."""

import json
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from dask_bake.bake.bake import BakeResult, bake
from dask_bake.bake.context import BakeContext
from dask_bake.bake.options import BakeOptions
from dask_bake.environment.pip_lock import Lock, Package
from dask_bake.environment.spec import parse_environment
from dask_bake.errors import BakeError, CapacityError
from dask_bake.events import Event, Note, Notify, Phases
from dask_bake.models.cloud import Cloud
from dask_bake.models.ec2 import Image, InstanceType, SecurityGroup, Subnet
from dask_bake.models.tags import Tag, Tags
from fakes import SUBNETS, FakeClock, FakeCloud

BASE = Image("ami-base", "debian-12-amd64-20260101", "available", datetime(2026, 1, 1, tzinfo=UTC))
NOW = datetime(2026, 5, 1, tzinfo=UTC)
CLOUD = Cloud("aws", "eu-west-1", "address", environment=(("AWS_PROFILE", "work"),))
PACKAGES = (
    Package("dask", "2026.8.0", "d" * 64),
    Package("distributed", "2026.8.0", "c" * 64),
    Package("numpy", "2.1", "b" * 64),
)


ENVIRONMENT = parse_environment(b"name: rides\ndependencies: [dask]")
LOCK = Lock(ENVIRONMENT.sha256, "3.11.2", "x86_64", PACKAGES)


@dataclass
class BakingCloud(FakeCloud):
    """EC2 and its images, in lists."""

    listed: list[Image] = field(default_factory=lambda: [BASE])
    done: list[tuple[str, str]] = field(default_factory=list)
    removal_error: Exception | None = None
    only_in: dict[str, str] = field(default_factory=dict)
    all_subnets: tuple[Subnet, ...] = SUBNETS
    unseen: str = ""

    def find_images(
        self, *, owners: Sequence[str], filters: Mapping[str, str | Sequence[str]]
    ) -> tuple[Image, ...]:
        unseen, self.unseen = self.unseen, ""
        there = [each for each in self.listed if each.id != unseen]
        theirs = [each for each in there if each.name.startswith("debian-") == (owners != ("self",))]
        return tuple(each for each in theirs if all(matches(each, *one) for one in filters.items()))

    def image(self, image_id: str) -> Image:
        for each in self.listed:
            if each.id == image_id:
                return each
        raise BakeError(f"the image {image_id} does not exist in this region")

    def instance_types(self, names: Sequence[str]) -> tuple[InstanceType, ...]:
        return tuple(
            InstanceType(name, 2, ("arm64",) if name.startswith("m6g") else ("x86_64",)) for name in names
        )

    def subnets(self, *, vpc_id: str | None = None, subnet_id: str | None = None) -> tuple[Subnet, ...]:
        """Return those of the VPC, or the one that is named; else those of vpc-1, the default VPC."""
        if subnet_id is not None:
            return tuple(each for each in self.all_subnets if each.id == subnet_id)
        return tuple(each for each in self.all_subnets if each.vpc_id == (vpc_id or "vpc-1"))

    def offerings(self, names: Sequence[str]) -> frozenset[tuple[str, str]]:
        """Return all zones for a type, or the one that ``only_in`` has for it."""
        pairs = ((name, subnet.zone) for name in names for subnet in self.all_subnets)
        return frozenset((name, zone) for name, zone in pairs if zone == self.only_in.get(name, zone))

    def require_imdsv2(self, image_id: str) -> None:
        self.done.append(("imdsv2", image_id))

    def deprecate(self, image_id: str, when: datetime) -> None:
        self.done.append((f"deprecate {when:%Y-%m-%d}", image_id))

    def tag(self, resource_ids: Sequence[str], tags: Tags) -> None:
        self.listed = [
            replace(each, tags=(*each.tags, *tags)) if each.id in resource_ids else each
            for each in self.listed
        ]
        self.done += [(f"tag {sorted({key[:21] for key, _ in tags})}", each) for each in resource_ids]

    def remove(self, image: Image) -> None:
        if self.removal_error is not None:
            raise self.removal_error
        self.listed = [each for each in self.listed if each.id != image.id]
        self.done.append(("remove", image.id))

    @property
    def own_images(self) -> list[str]:
        return [each.id for each in self.listed if not each.name.startswith("debian-")]


def matches(image: Image, key: str, value: str | Sequence[str]) -> bool:
    value = str(value)
    if key.startswith("tag:"):
        return image.tag(key.removeprefix("tag:")) == value
    if key == "name":
        return image.name.startswith(value.rstrip("*")) if value.endswith("*") else image.name == value
    return value == {"state": image.state, "architecture": image.architecture}[key]


@dataclass
class RememberingPacker:
    """A Packer whose images appear in the list, unless it is set to fail."""

    cloud: BakingCloud
    variables: list[Mapping[str, object]] = field(default_factory=list)
    environment: list[Mapping[str, str]] = field(default_factory=list)
    staged: list[str] = field(default_factory=list)
    manifest: dict[str, object] = field(default_factory=dict)
    rootfs: list[str] = field(default_factory=list)
    user_data: str = ""
    key_mode: int = 0
    fails: BaseException | None = None
    fails_late: bool = False
    lacks: list[CapacityError] = field(default_factory=list)

    def init(self, plugins: Path, notify: Notify) -> None:
        assert plugins.name == "plugins.pkr.hcl"

    def build(
        self, template: Path, variables: Mapping[str, object], environment: Mapping[str, str], notify: Notify
    ) -> str:
        self.variables.append(variables)
        self.environment.append(environment)
        self.staged = sorted(
            each.relative_to(template).as_posix() for each in template.rglob("*") if each.is_file()
        )
        self.manifest = json.loads((template / "payload/manifest.json").read_text())
        with tarfile.open(template / "payload/rootfs.tar") as archive:
            self.rootfs = archive.getnames()
        self.user_data = Path(str(variables["user_data_file"])).read_text()
        self.key_mode = Path(str(variables["ssh_private_key_file"])).stat().st_mode & 0o777
        if self.lacks:
            raise self.lacks.pop(0)
        if self.fails and not self.fails_late:
            raise self.fails
        phases = Phases(notify, iter([10.0, 14.5]).__next__)
        phases.enter("install")
        phases.leave()
        tags = variables["image_tags"]
        assert isinstance(tags, dict)
        image = Image(
            f"ami-{len(self.variables)}",
            str(variables["image_name"]),
            "available",
            BASE.created,
            snapshot_id=f"snap-{len(self.variables)}",
            tags=tuple(tags.items()),
        )
        self.cloud.listed.insert(0, image)
        if self.fails:
            raise self.fails
        return image.id


@dataclass
class Brought:
    """An installer with one file of packages."""

    name: str = "pip"
    lock: Lock = LOCK
    environment = ENVIRONMENT
    files = {"environment.yml": b"name: rides", "pip.lock": b"dask"}  # noqa: RUF012

    def bring(self, payload: Path, notify: Notify) -> int:
        (payload / "wheels.tar").write_text("wheels")
        return 6


@dataclass
class FakeVerification:
    """A verification that fails as set."""

    verified: list[str] = field(default_factory=list)
    fails: BaseException | None = None

    def verify(self, image: Image, digest: str, options: BakeOptions, notify: Notify) -> None:
        assert image.tag(Tag.DIGEST) == digest
        self.verified.append(image.id)
        if self.fails:
            raise self.fails


class Bench:
    """Everything a bake needs, and a way to bake."""

    def __init__(self, source: Path, cache: Path) -> None:
        self.cloud = BakingCloud()
        self.packer = RememberingPacker(self.cloud)
        self.verification = FakeVerification()
        self.clock = FakeClock()
        self.events: list[Event] = []
        self.context = BakeContext(
            cloud=CLOUD,
            ec2=self.cloud,
            images=self.cloud,
            find_builder=lambda: self.packer,
            verify=self.verification.verify,
            installer=Brought(),
            caller=lambda: "192.0.2.1/32",
            credentials=lambda: {"AWS_ACCESS_KEY_ID": "mine"},
            source=source,
            cache=cache,
        )

    def bake(self, *, sleep: Callable[[float], None] | None = None, **options) -> BakeResult:
        return bake(
            BakeOptions(**options),
            self.context,
            notify=self.events.append,
            clock=self.clock,
            sleep=sleep or self.clock.sleep,
            now=lambda: NOW,
        )

    @property
    def notes(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, Note)]

    def assert_nothing_left(self) -> None:
        assert (self.cloud.left, list(self.context.cache.glob("*"))) == ([], [])


def other_bake(bench: Bench, *, created: bool = True) -> SecurityGroup:
    """Create the lease of another bake of the same image."""
    digest = bench.bake(verify=False).manifest.digest
    bench.cloud.listed = [BASE]
    group = bench.cloud.create_security_group(
        f"dask-bake-image-{digest[:12]}",
        vpc_id="vpc-1",
        tags=((Tag.CLUSTER, f"image-{digest[:12]}"), (Tag.LAUNCH, "other")),
    )
    assert group is not None
    bench.events.clear()
    return group
