"""Bakes against an EC2 in a list and a Packer that remembers."""

import json
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import pytest

from dask_bake.bake import BakeResult, Workshop, bake
from dask_bake.bake_plan import BakeOptions
from dask_bake.errors import BakeError
from dask_bake.events import Event, Notify, PhaseEnded, PhaseStarted
from dask_bake.lock import Lock, Package
from dask_bake.models import Cloud, Image, Subnet, Tag
from dask_bake.phases import Phases

BASE = Image("ami-base", "debian-12-amd64-20260101", "available", datetime(2026, 1, 1, tzinfo=UTC))
CLOUD = Cloud("aws", "eu-west-1", "address", environment=(("AWS_PROFILE", "work"),))
PACKAGES = (Package("dask", "2026.8.0", "d" * 64), Package("distributed", "2026.8.0", "c" * 64))
LOCK = Lock("e" * 64, "3.11.2", "x86_64", PACKAGES)


@dataclass
class ListedEc2:
    """Images in a list; knows the filters that a bake uses."""

    images: list[Image] = field(default_factory=lambda: [BASE])

    def find_images(self, *, owners: tuple[str, ...], filters: Mapping[str, str]) -> tuple[Image, ...]:
        theirs = [each for each in self.images if each.name.startswith("debian-") == (owners != ("self",))]
        return tuple(
            each for each in theirs if all(_matches(each, *each_filter) for each_filter in filters.items())
        )

    def image(self, image_id: str) -> Image:
        return next(each for each in self.images if each.id == image_id)

    def default_subnet(self) -> Subnet:
        return Subnet("subnet-1", "vpc-1", "eu-west-1a")


def _matches(image: Image, key: str, value: str) -> bool:
    if key.startswith("tag:"):
        return image.tag(key.removeprefix("tag:")) == value
    if key == "name":
        return image.name.startswith(value.rstrip("*"))
    return value == {"state": image.state, "architecture": image.architecture}[key]


@dataclass
class RememberingPacker:
    """A Packer whose images appear in the list."""

    ec2: ListedEc2
    variables: list[Mapping[str, object]] = field(default_factory=list)
    environment: list[Mapping[str, str]] = field(default_factory=list)
    staged: list[str] = field(default_factory=list)
    manifest: dict[str, object] = field(default_factory=dict)
    rootfs: list[str] = field(default_factory=list)

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
            tags=tuple(tags.items()),
        )
        self.ec2.images.insert(0, image)
        return image.id


@dataclass
class Brought:
    """An installer that brings one file."""

    name: str = "pip"
    lock: Lock = LOCK
    files: tuple[str, ...] = ("environment.yml", "pip.lock")

    def bring(self, payload: Path, notify: Notify) -> int:
        (payload / "wheels.tar").write_text("wheels")
        return 6


class Bench:
    """Everything a bake needs, and a way to bake."""

    def __init__(self, source: Path, cache: Path) -> None:
        self.ec2 = ListedEc2()
        self.packer = RememberingPacker(self.ec2)
        self.events: list[Event] = []
        self.workshop = Workshop(
            cloud=CLOUD,
            ec2=self.ec2,
            find_builder=lambda: self.packer,
            installer=Brought(),
            caller=lambda: "192.0.2.1/32",
            source=source,
            cache=cache,
        )

    def bake(self, *, force: bool = False) -> BakeResult:
        return bake(BakeOptions(force=force), self.workshop, notify=self.events.append, clock=lambda: 0.0)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    source = tmp_path / "packer"
    for name in (
        "dask.pkr.hcl",
        "variables.pkr.hcl",
        "environment.yml",
        "pip.lock",
        "scripts/10-a.sh",
        "rootfs/etc/x",
    ):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(name)
    return Bench(source, tmp_path / "cache")


def test_an_image_is_built_and_read_back(bench: Bench) -> None:
    result = bench.bake()
    image = bench.ec2.images[0]
    assert result == BakeResult(
        image=image,
        built=True,
        digest=image.tag(Tag.DIGEST),
        python="3.11.2",
        packages=PACKAGES,
        phases=(("look up", 0.0), ("packages", 0.0), ("install", 4.5)),
        size=6,
    )


def test_packer_is_told_all_of_it_and_no_secret(bench: Bench) -> None:
    digest = bench.bake().digest
    name = f"dask-bake-{digest[:12]}"
    assert bench.packer.variables == [
        {
            "region": "eu-west-1",
            "endpoint": "",
            "base_image": "ami-base",
            "image_name": name,
            "image_tags": {
                "Name": name,
                "dask-bake:managed": "true",
                "dask-bake:digest": digest,
                "dask-bake:base": "ami-base",
                "dask-bake:installer": "pip",
                "dask-bake:user": "admin",
                "dask-bake:python": "3.11.2",
                "dask-bake:dask": "2026.8.0",
                "dask-bake:distributed": "2026.8.0",
            },
            "caller_cidr": "192.0.2.1/32",
            "subnet_id": "subnet-1",
            "instance_type": "m5.large",
            "volume_size": 10,
            "ssh_username": "admin",
        }
    ]
    assert bench.packer.environment == [{"AWS_PROFILE": "work"}]


def test_packer_is_run_in_the_stage_with_its_payload(bench: Bench) -> None:
    result = bench.bake()
    assert bench.packer.staged == [
        "dask.pkr.hcl",
        "environment.yml",
        "payload/environment.yml",
        "payload/manifest.json",
        "payload/pip.lock",
        "payload/rootfs.tar",
        "payload/wheels.tar",
        "pip.lock",
        "rootfs/etc/x",
        "scripts/10-a.sh",
        "variables.pkr.hcl",
    ]
    assert bench.packer.rootfs == ["etc/x"]
    assert bench.packer.manifest["digest"] == result.digest


def test_the_stage_is_not_left_behind(bench: Bench) -> None:
    bench.bake()
    assert list(bench.workshop.cache.iterdir()) == []


def test_an_unchanged_recipe_builds_nothing_and_brings_nothing(bench: Bench) -> None:
    first = bench.bake()
    bench.events.clear()
    assert bench.bake() == replace(first, built=False, phases=(("look up", 0.0),), size=0)
    assert bench.events == [PhaseStarted("look up"), PhaseEnded("look up", 0.0)]
    assert len(bench.packer.variables) == 1


def change_script(bench: Bench) -> None:
    (bench.workshop.source / "scripts/10-a.sh").write_text("other")


def newer_base(bench: Bench) -> None:
    bench.ec2.images.insert(0, replace(BASE, id="ami-newer"))


def still_pending(bench: Bench) -> None:
    bench.ec2.images[0] = replace(bench.ec2.images[0], state="pending")


@pytest.mark.parametrize("change", [change_script, newer_base, still_pending])
def test_whatever_is_no_hit_is_built(change: Callable[[Bench], None], bench: Bench) -> None:
    bench.bake()
    change(bench)
    assert bench.bake().built


def test_force_builds_anyway_under_a_name_that_is_free(bench: Bench) -> None:
    first = bench.bake()
    second = bench.bake(force=True)
    assert second.built
    assert second.digest == first.digest
    assert second.image.name == f"{first.image.name}-2"


def test_a_region_without_debians_image_is_a_sentence(bench: Bench) -> None:
    bench.ec2.images.clear()
    with pytest.raises(BakeError) as caught:
        bench.bake()
    assert caught.value.message == (
        "there is no image debian-12-amd64-* of Debian's account 136693071363 in this region"
    )


def test_nothing_is_asked_for_a_build_when_there_is_nothing_to_build(bench: Bench) -> None:
    bench.bake()

    def ask() -> NoReturn:
        raise AssertionError

    bench.workshop = replace(bench.workshop, find_builder=ask, caller=ask)
    assert not bench.bake().built


def test_a_failing_build_leaves_no_stage(bench: Bench) -> None:
    def fail(*_: object) -> str:
        raise BakeError("20-environment.sh failed")

    bench.packer.build = fail  # type: ignore[method-assign]
    with pytest.raises(BakeError, match=r"20-environment\.sh failed"):
        bench.bake()
    assert list(bench.workshop.cache.iterdir()) == []
