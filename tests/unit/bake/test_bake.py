"""Bakes against an EC2 in a list, a Packer that remembers, and a proof that is told how to end."""

import json
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import pytest

from dask_bake.bake.bake import BakeResult, bake
from dask_bake.bake.context import BakeContext
from dask_bake.bake.lease import LEASE_EXPIRY
from dask_bake.bake.options import BakeOptions, bake_options
from dask_bake.clusters.naming import ssh_rule
from dask_bake.environment.pip_lock import Lock, Package
from dask_bake.environment.spec import parse_environment
from dask_bake.errors import BakeError, LeftoverError, NotReadyError, UsageError
from dask_bake.events import Event, Note, Notify, PhaseEnded, Phases, PhaseStarted
from dask_bake.images import manifest
from dask_bake.models.cloud import Architecture, Cloud
from dask_bake.models.debian import TRIXIE
from dask_bake.models.ec2 import Image, InstanceType, SecurityGroup, Subnet
from dask_bake.models.tags import Tag, Tags
from fakes import SUBNETS, FakeClock, FakeCloud, Fault, a_plan, head_of, hint_of
from interrupting import hidden, words_of

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
    """An EC2 in a list, with images; it is Images too."""

    listed: list[Image] = field(default_factory=lambda: [BASE])
    done: list[tuple[str, str]] = field(default_factory=list)
    keeps_images: bool = False
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

    def subnets(self) -> tuple[Subnet, ...]:
        return SUBNETS

    def instance_types(self, names: Sequence[str]) -> tuple[InstanceType, ...]:
        return tuple(
            InstanceType(name, 2, ("arm64",) if name.startswith("m6g") else ("x86_64",)) for name in names
        )

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
        if self.keeps_images:
            raise BakeError("these AWS credentials may not call ec2:DeregisterImage")
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
    """A Packer whose images appear in the list, unless it is told to fail."""

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
    """An installer that brings one file."""

    name: str = "pip"
    lock: Lock = LOCK
    environment = ENVIRONMENT
    files = {"environment.yml": b"name: rides", "pip.lock": b"dask"}  # noqa: RUF012

    def bring(self, payload: Path, notify: Notify) -> int:
        (payload / "wheels.tar").write_text("wheels")
        return 6


@dataclass
class Proof:
    """A proof that ends as it is told."""

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
        self.proof = Proof()
        self.clock = FakeClock()
        self.events: list[Event] = []
        self.context = BakeContext(
            cloud=CLOUD,
            ec2=self.cloud,
            images=self.cloud,
            find_builder=lambda: self.packer,
            verify=self.proof.verify,
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
        assert (self.cloud.left, list(self.context.cache.iterdir())) == ([], [])


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    source = tmp_path / "packer"
    for name in ("dask.pkr.hcl", "variables.pkr.hcl", "scripts/10-a.sh", "rootfs/etc/x"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(name)
    return Bench(source, tmp_path / "cache")


def test_an_image_is_built_sealed_proved_and_read_back(bench: Bench) -> None:
    result = bench.bake()
    image = bench.cloud.image("ami-1")
    assert (result.image, result.built, result.size) == (image, True, 6)
    assert result.manifest == manifest.from_tags(image.tags)
    assert [phase for phase, _ in result.phases] == ["look up", "packages", "install", "seal"]
    (sealed, on), *rest = bench.cloud.done
    assert (sealed.startswith("tag ['dask-bake:manifest"), on) == (True, "ami-1")
    assert rest == [
        ("imdsv2", "ami-1"),
        ("deprecate 2027-05-01", "ami-1"),
        ("tag ['dask-bake:verified']", "ami-1"),
    ]
    assert bench.proof.verified == ["ami-1"]
    assert image.tag(Tag.VERIFIED) == "yes"
    bench.assert_nothing_left()


def test_packer_is_told_all_of_it_and_no_secret(bench: Bench) -> None:
    digest = bench.bake().manifest.digest
    name = f"dask-bake-{digest[:12]}"
    (variables,) = bench.packer.variables
    run_tags = variables["run_tags"]
    assert isinstance(run_tags, dict)
    assert len(run_tags.pop("dask-bake:launch-id")) == 12
    assert variables == {
        "region": "eu-west-1",
        "endpoint": "",
        "base_image": "ami-base",
        "image_name": name,
        "image_tags": {
            "Name": name,
            "dask-bake:managed": "true",
            "dask-bake:digest": digest,
            "dask-bake:base": "ami-base",
            "dask-bake:base-name": "debian-12-amd64-20260101",
            "dask-bake:environment": "rides",
            "dask-bake:installer": "pip",
            "dask-bake:user": "admin",
            "dask-bake:python": "3.11.2",
            "dask-bake:dask": "2026.8.0",
            "dask-bake:distributed": "2026.8.0",
            "dask-bake:numpy": "2.1",
        },
        "run_tags": {
            "Name": f"dask-bake-image-{digest[:12]}",
            "dask-bake:managed": "true",
            "dask-bake:cluster": f"image-{digest[:12]}",
            "dask-bake:role": "head",
        },
        "security_group_id": "sg-0",
        "user_data_file": variables["user_data_file"],
        "ssh_private_key_file": variables["ssh_private_key_file"],
        "subnet_id": SUBNETS[0].id,
        "associate_public_ip_address": True,
        "instance_type": "m5.large",
        "volume_size": 10,
        "kms_key_id": "",
        "ssh_username": "admin",
        "script_timeout": "3600s",
        "polling_attempts": 3600,
    }
    assert bench.packer.environment == [{"AWS_ACCESS_KEY_ID": "mine"}]


def test_the_instance_is_opened_by_one_key_from_one_address(bench: Bench) -> None:
    bench.bake()
    assert bench.cloud.rules == [("sg-0", ssh_rule("192.0.2.1/32"))]
    assert [rule.port for _, rule in bench.cloud.rules] == [22]
    assert bench.packer.user_data.startswith("#cloud-config\nssh_authorized_keys:\n  - ssh-ed25519 AAAA")
    assert bench.packer.key_mode == 0o600


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
    assert manifest.parse(bench.packer.manifest) == result.manifest


def test_an_unchanged_recipe_builds_nothing_and_brings_nothing(bench: Bench) -> None:
    first = bench.bake()
    bench.events.clear()
    assert bench.bake() == replace(first, built=False, phases=(("look up", 0.0),), size=0)
    assert bench.events == [PhaseStarted("look up"), PhaseEnded("look up", 0.0)]
    assert len(bench.packer.variables) == 1


def change_script(bench: Bench) -> None:
    (bench.context.source / "scripts/10-a.sh").write_text("other")


def newer_base(bench: Bench) -> None:
    bench.cloud.listed.insert(0, replace(BASE, id="ami-newer"))


def still_pending(bench: Bench) -> None:
    bench.cloud.listed[0] = replace(bench.cloud.listed[0], state="pending")


def failed(bench: Bench) -> None:
    bench.cloud.listed[0] = replace(bench.cloud.listed[0], state="failed")


@pytest.mark.parametrize("change", [change_script, newer_base, still_pending, failed])
def test_whatever_is_no_hit_is_built(change: Callable[[Bench], None], bench: Bench) -> None:
    bench.bake()
    change(bench)
    assert bench.bake().built


@pytest.mark.parametrize(
    ("options", "same"),
    [
        ({"volume_size": 20}, False),
        ({"type": "m5.xlarge"}, True),
        ({"kms_key": "alias/mine"}, False),
        ({"deprecate_after": 0}, True),
        ({"timeout": 60}, True),
    ],
)
def test_only_what_is_in_an_image_decides_it(options: dict[str, object], same: bool, bench: Bench) -> None:
    bench.bake()
    assert bench.bake(**options).built is not same


def test_force_builds_anyway_under_a_name_that_is_free(bench: Bench) -> None:
    first = bench.bake()
    second = bench.bake(force=True)
    assert second.built
    assert second.manifest.digest == first.manifest.digest
    assert second.image.name == f"{first.image.name}-2"


def test_an_image_that_need_not_prove_itself_says_so(bench: Bench) -> None:
    assert bench.bake(verify=False, deprecate_after=0).image.tag(Tag.VERIFIED) == "skipped"
    assert bench.proof.verified == []
    assert not bench.bake(verify=False).built
    assert "deprecate" not in str(bench.cloud.done)


def test_an_image_without_proof_is_proved_and_not_built_again(bench: Bench) -> None:
    bench.bake(verify=False)
    result = bench.bake()
    assert (result.built, result.image.tag(Tag.VERIFIED)) == (False, "yes")
    assert bench.proof.verified == ["ami-1"]


def test_an_older_image_that_fails_its_proof_says_so_and_is_no_hit_any_more(bench: Bench) -> None:
    bench.bake(verify=False)
    bench.proof.fails = NotReadyError("it does not compute", hint="look")
    with pytest.raises(BakeError, match="it does not compute") as caught:
        bench.bake()
    assert hint_of(caught.value) == "look; dask-bake bake --force builds the image again"
    assert bench.cloud.image("ami-1").tag(Tag.VERIFIED) == "failed"
    bench.assert_nothing_left()
    bench.proof.fails = None
    assert bench.bake().image.id == "ami-2"


def test_an_older_image_that_could_not_be_tried_stays_as_it_is(bench: Bench) -> None:
    bench.bake(verify=False)
    bench.proof.fails = BakeError("AWS lacks capacity for this request")
    with pytest.raises(BakeError, match="lacks capacity"):
        bench.bake()
    assert bench.cloud.image("ami-1").tag(Tag.VERIFIED) == "skipped"


def test_of_equal_images_the_newest_is_the_hit(bench: Bench) -> None:
    bench.bake()
    newest = bench.bake(force=True).image
    assert bench.bake().image.id == newest.id


def test_an_image_that_counts_is_not_removed_for_its_name(bench: Bench) -> None:
    """EC2 may not have shown it when the name was chosen."""
    bench.bake()
    theirs = bench.cloud.image("ami-1")
    bench.packer.fails = BakeError("packer failed: the name is taken")
    bench.cloud.unseen = theirs.id
    with pytest.raises(BakeError, match="the name is taken"):
        bench.bake(force=True)
    assert bench.cloud.own_images == [theirs.id]


@pytest.mark.parametrize(("architecture", "kind"), [("x86_64", "m6g.large"), ("arm64", "m5.large")])
def test_an_instance_of_another_architecture_is_refused_before_anything(
    bench: Bench, architecture: str, kind: str
) -> None:
    bench.cloud.listed.append(replace(BASE, id="ami-arm", name="debian-12-arm64-1", architecture="arm64"))
    with pytest.raises(
        UsageError, match=f"the image that is to be baked is {architecture}, the type {kind} is"
    ):
        bench.bake(architecture=Architecture(architecture), type=kind)
    assert bench.packer.variables == []
    bench.assert_nothing_left()


@pytest.mark.parametrize("error", [BakeError("it does not compute"), KeyboardInterrupt()])
def test_a_new_image_that_does_not_prove_itself_is_removed(bench: Bench, error: BaseException) -> None:
    bench.proof.fails = error
    with pytest.raises(type(error)):
        bench.bake()
    assert bench.cloud.own_images == []
    assert bench.notes == ["The image ami-1 was removed."]
    bench.assert_nothing_left()


def test_what_cannot_be_removed_is_named(bench: Bench) -> None:
    bench.proof.fails = BakeError("it does not compute")
    bench.cloud.keeps_images = True
    with pytest.raises(LeftoverError) as caught:
        bench.bake()
    name = bench.cloud.image("ami-1").name
    assert caught.value.message == (
        f"it does not compute; the image ami-1 ({name}) or its snapshot snap-1 is left:"
        " these AWS credentials may not call ec2:DeregisterImage"
    )
    bench.assert_nothing_left()


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("error", [BakeError("20-conda.sh failed"), KeyboardInterrupt()])
def test_a_failing_build_leaves_nothing(bench: Bench, error: BaseException, late: bool) -> None:
    bench.packer.fails, bench.packer.fails_late = error, late
    with pytest.raises(type(error)):
        bench.bake()
    assert bench.cloud.own_images == []
    bench.assert_nothing_left()


def test_credentials_that_expire_in_the_middle_are_said_with_what_is_left(bench: Bench) -> None:
    """Packer fails for them, and so does everything that would clear away."""
    expired = BakeError("AWS does not accept the credentials: Request has expired. (RequestExpired)")
    bench.packer.fails = BakeError(
        "snapshot failed: Error creating AMI: RequestExpired: Request has expired."
    )
    bench.cloud.faults = [Fault("nodes", expired, nth) for nth in range(1, 9)]
    with pytest.raises(LeftoverError) as caught:
        bench.bake()
    said, left, proof = caught.value.message.splitlines()
    name = next(iter(bench.cloud.security_groups)).name.removeprefix("dask-bake-")
    assert said == "snapshot failed: Error creating AMI: RequestExpired: Request has expired."
    assert left == (
        f"something may be left that costs money: whatever is tagged dask-bake:cluster={name}."
        " The reason: AWS does not accept the credentials: Request has expired. (RequestExpired)"
    )
    assert proof == left.replace(name, f"{name}-proof")
    assert hint_of(caught.value) == f"dask-bake down {name}; dask-bake down {name}-proof"


def other_bake(bench: Bench, *, created: bool = True) -> SecurityGroup:
    """The claim of another bake of the same image."""
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


def test_a_second_bake_waits_for_the_first_and_takes_its_image(bench: Bench) -> None:
    group = other_bake(bench)
    made = Image("ami-other", "dask-bake-x", "available", NOW)

    def sleep(seconds: float) -> None:
        bench.clock.now += seconds
        if bench.clock.now > 130:
            digest = bench.packer.variables[0]["image_tags"]["dask-bake:digest"]  # type: ignore[index]
            tags = ((Tag.DIGEST, digest), (Tag.VERIFIED, "yes"))
            bench.cloud.listed = [replace(made, tags=tags), BASE]
            bench.cloud.delete_security_group(group.id)

    result = bench.bake(sleep=sleep)
    assert (result.image.id, result.built) == ("ami-other", False)
    assert bench.notes == ["Another bake of this image is going on: waiting for it to end."]
    assert len(bench.packer.variables) == 1
    bench.assert_nothing_left()


def test_a_bake_that_was_killed_is_not_waited_for(bench: Bench) -> None:
    other_bake(bench)
    began = bench.clock.now
    assert bench.bake().built
    assert LEASE_EXPIRY <= bench.clock.now - began < LEASE_EXPIRY + 10
    assert bench.notes[1] == "That bake was abandoned: going on in its place."
    bench.assert_nothing_left()


def test_a_bake_that_others_took_over_is_waited_for_anew(bench: Bench) -> None:
    """Somebody else waited as long, and is at work now: his claim is not the abandoned one."""
    first = other_bake(bench)
    began = bench.clock.now

    def sleep(seconds: float) -> None:
        bench.clock.now += seconds
        if first in bench.cloud.security_groups and bench.clock.now - began > LEASE_EXPIRY - 10:
            bench.cloud.security_groups = [replace(first, id="sg-theirs")]

    result = bench.bake(sleep=sleep)
    assert result.built
    assert bench.clock.now - began > 2 * LEASE_EXPIRY - 20


def test_a_proof_of_somebody_else_is_not_ended_by_one_who_waits(bench: Bench) -> None:
    group = other_bake(bench)
    proof = ((Tag.CLUSTER, f"{dict(group.tags)[Tag.CLUSTER]}-proof"), (Tag.LAUNCH, "proof"))
    bench.cloud.run_instances(replace(head_of(a_plan(), group.id), tags=proof))
    with pytest.raises(BakeError, match="has gone on for"):
        bench.bake(timeout=60)
    assert [node.is_live for node in bench.cloud.instances] == [True]


def test_a_bake_that_goes_on_is_waited_for_until_the_deadline(bench: Bench) -> None:
    group = other_bake(bench)
    spec = head_of(a_plan(), group.id)
    bench.cloud.run_instances(replace(spec, tags=group.tags))
    began = bench.clock.now
    with pytest.raises(BakeError) as caught:
        bench.bake(timeout=600)
    assert caught.value.message == "another bake of this image has gone on for 600 s"
    assert (
        hint_of(caught.value)
        == f"if it was killed, dask-bake down {dict(group.tags)[Tag.CLUSTER]} ends what it left"
    )
    assert bench.clock.now - began >= 600
    assert [each.id for each in bench.cloud.security_groups] == [group.id]


def test_a_region_without_debians_image_is_a_sentence(bench: Bench) -> None:
    bench.cloud.listed.clear()
    with pytest.raises(BakeError) as caught:
        bench.bake()
    assert caught.value.message == (
        "there is no image debian-12-amd64-* of Debian's account 136693071363 in this region"
    )


def test_a_release_is_its_newest_image(bench: Bench) -> None:
    older, newer = (
        Image(f"ami-{day}", f"debian-13-amd64-202601{day}-1", "available", NOW) for day in ("01", "02")
    )
    bench.cloud.listed += [newer, older]
    assert bench.bake(base=TRIXIE).image.tag(Tag.BASE) == "ami-02"


def test_an_image_of_another_release_than_the_lock_is_for_is_refused(bench: Bench) -> None:
    bench.cloud.listed.append(Image("ami-13", "debian-13-amd64-20260101-1", "available", NOW))
    with pytest.raises(UsageError) as caught:
        bench.bake(base="ami-13")
    assert (caught.value.message, hint_of(caught.value)) == (
        "--base ami-13 is Debian 13 with Python 3.13, and the environment is locked for 3.11",
        "--base debian-12, or the dependency python=3.13",
    )


def test_a_base_is_taken_as_it_is_given(bench: Bench) -> None:
    mine = Image("ami-mine", "debian-mine", "available", NOW)
    bench.cloud.listed.append(mine)
    assert bench.bake(base="ami-mine").image.tag(Tag.BASE) == "ami-mine"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"base": "ami-0none"}, "the image ami-0none does not exist in this region"),
        (
            {"base": "ami-base", "architecture": Architecture.ARM64},
            "--base ami-base is for x86_64, and --arch is arm64",
        ),
    ],
)
def test_a_base_that_will_not_do_is_a_sentence(
    bench: Bench, options: dict[str, object], sentence: str
) -> None:
    with pytest.raises(BakeError) as caught:
        bench.bake(**options)
    assert caught.value.message == sentence


def test_an_arm_image_comes_from_debians_arm_image_on_an_arm_machine(bench: Bench) -> None:
    arm = Image("ami-arm", "debian-12-arm64-20260101", "available", NOW, architecture="arm64")
    bench.cloud.listed.append(arm)
    result = bench.bake(architecture=Architecture.ARM64)
    assert result.image.tag(Tag.BASE) == "ami-arm"
    assert bench.packer.variables[0]["instance_type"] == "m6g.large"


def test_a_cloud_without_such_machines_says_so(bench: Bench) -> None:
    here = replace(CLOUD, name="local", architectures=(Architecture.X86_64,))
    bench.context = replace(bench.context, cloud=here)
    with pytest.raises(UsageError) as caught:
        bench.bake(architecture=Architecture.ARM64)
    assert caught.value.message == "--arch arm64: the local cloud's machines are x86_64"


def test_nothing_is_asked_for_a_build_when_there_is_nothing_to_build(bench: Bench) -> None:
    bench.bake()

    def ask() -> NoReturn:
        raise AssertionError

    bench.context = replace(bench.context, find_builder=ask, caller=ask)
    assert not bench.bake().built


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"volume_size": 7}, "--volume-size is in GiB: at least 8, not 7"),
        ({"deprecate_after": -1}, "--deprecate-after is in days: at least 0, not -1"),
        ({"timeout": 0}, "--timeout is in seconds: at least 1, not 0"),
        ({"deprecate_after": 3651}, "--deprecate-after is in days: at most 3650, not 3651"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, int], sentence: str) -> None:
    with pytest.raises(UsageError) as caught:
        bake_options(options, {})
    assert caught.value.message == sentence


class Interrupted:
    """A bake that was interrupted, or whose Packer failed; anew each time."""

    def __init__(self, source: Path, cache: Path, fails: BaseException) -> None:
        self.bench = Bench(source, cache)
        self.bench.packer.fails, self.bench.packer.fails_late = fails, True

    def __call__(self) -> None:
        self.bench.bake()

    def unsaid(self) -> list[str]:
        """What there is afterwards that was not named."""
        said, cloud = words_of(self) or "", self.bench.cloud
        images = [image.name for image in cloud.listed if image.id in cloud.own_images]
        unnamed = [image for image in images if image not in said]
        return unnamed + ([] if "something may be left" in said else cloud.left)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of a folder that just begins
@pytest.mark.parametrize("fails", [KeyboardInterrupt(), BakeError("20-conda.sh failed")])
def test_an_interrupt_at_any_line_of_a_bake_that_fails_hides_nothing_that_is_left(
    bench: Bench, tmp_path: Path, fails: BaseException
) -> None:
    source, cache = bench.context.source, tmp_path / "cache"

    assert hidden(lambda: Interrupted(source, cache, fails), Interrupted.unsaid) == {}
