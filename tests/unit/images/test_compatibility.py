"""Compatibility of an image by its tags: versions, architecture, age."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from dask_bake.errors import BakeError, UsageError
from dask_bake.images.compatibility import (
    Mismatch,
    Packages,
    base_names,
    check_architecture,
    differences,
    doubts,
    mismatches,
    newest_verified,
    staleness,
)
from dask_bake.models.cloud import Architecture
from dask_bake.models.ec2 import Image, InstanceType
from dask_bake.models.tags import Tag, Verified
from fakes import IMAGE

CLIENT = Packages("3.11.7", dask="2026.8.0", distributed="2026.8.0", numpy="2.4.6", pandas="3.1.1")
ALIKE = {
    Tag.PYTHON: "3.11.7",
    Tag.DASK: "2026.8.0",
    Tag.DISTRIBUTED: "2026.8.0",
    Tag.NUMPY: "2.4.6",
    Tag.PANDAS: "3.1.1",
}
INTEL = InstanceType("m6i.2xlarge", 8, ("x86_64",))
GRAVITON = InstanceType("m6g.2xlarge", 8, ("arm64",))
OLDER_INTEL = InstanceType("t2.micro", 1, ("i386", "x86_64"))
APPLE = InstanceType("mac2.metal", 8, ("arm64_mac",))
BASE = "debian-12-amd64-20260101-1234"
NEWER_BASE = "debian-12-amd64-20260401-1234"
BAKE_OR_ALLOW = "dask-bake bake --from-env bakes this environment; --allow-mismatch launches it anyway"


def tagged(tags: dict[str, str], **changes) -> Image:
    return replace(IMAGE, tags=tuple(sorted(tags.items())), **changes)


def baked(verified: str | None = Verified.YES, *, base: str = BASE, **changes) -> Image:
    verification = {} if verified is None else {Tag.VERIFIED: str(verified)}
    return tagged({Tag.MANAGED: "true", Tag.BASE_NAME: base, **verification}, **changes)


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({}, ()),
        ({Tag.PYTHON: "3.11.2"}, ()),
        ({Tag.PYTHON: "3.12.7"}, (Mismatch("Python", "3.12.7", "3.11.7", is_grave=True),)),
        ({Tag.PYTHON: "3.1.7"}, (Mismatch("Python", "3.1.7", "3.11.7", is_grave=True),)),
        (
            {Tag.DISTRIBUTED: "2025.1.0", Tag.DASK: "2025.1.0"},
            (
                Mismatch("distributed", "2025.1.0", "2026.8.0", is_grave=True),
                Mismatch("dask", "2025.1.0", "2026.8.0", is_grave=False),
            ),
        ),
        ({Tag.NUMPY: "2.0.0"}, (Mismatch("numpy", "2.0.0", "2.4.6", is_grave=False),)),
        ({Tag.PANDAS: "2.2.0"}, (Mismatch("pandas", "2.2.0", "3.1.1", is_grave=False),)),
    ],
)
def test_different_versions_are_mismatches_except_patch_releases_of_python(tags, expected):
    assert differences(tagged({**ALIKE, **tags}), CLIENT) == expected


def test_versions_that_the_image_does_not_state_are_not_compared():
    assert differences(tagged({}), CLIENT) == ()


def test_packages_that_this_machine_does_not_have_are_not_compared():
    tags = {**ALIKE, Tag.DISTRIBUTED: "1", Tag.DASK: "1", Tag.NUMPY: "1", Tag.PANDAS: "1"}

    assert differences(tagged(tags), Packages("3.11.7")) == ()


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        (
            {Tag.PYTHON: "3.12.1"},
            "the image ami-0123456789abcdef0 has Python 3.12.1, this machine Python 3.11.7:"
            " a client on this machine could not use the cluster",
        ),
        (
            {Tag.PYTHON: "3.12.1", Tag.DISTRIBUTED: "2025.1.0", Tag.NUMPY: "2.0.0"},
            "the image ami-0123456789abcdef0 has Python 3.12.1 and distributed 2025.1.0,"
            " this machine Python 3.11.7 and distributed 2026.8.0:"
            " a client on this machine could not use the cluster",
        ),
    ],
)
def test_incompatible_versions_are_one_error_that_names_both_sides(tags, message):
    with pytest.raises(UsageError) as caught:
        mismatches(tagged({**ALIKE, **tags}), CLIENT, allow_mismatch=False)

    assert (caught.value.message, caught.value.hint) == (message, BAKE_OR_ALLOW)


def test_with_allow_mismatch_incompatible_versions_are_warnings():
    image = tagged({**ALIKE, Tag.PYTHON: "3.12.1", Tag.DISTRIBUTED: "2025.1.0", Tag.NUMPY: "2.0.0"})

    assert mismatches(image, CLIENT, allow_mismatch=True) == (
        "The image has Python 3.12.1, this machine 3.11.7: a client on this machine may fail to use the"
        " cluster.",
        "The image has distributed 2025.1.0, this machine 2026.8.0:"
        " a client on this machine may fail to use the cluster.",
        "The image has numpy 2.0.0, this machine 2.4.6: data that one side sends may not work on the other.",
    )


def test_each_minor_difference_is_a_warning():
    image = tagged({**ALIKE, Tag.DASK: "2026.7.0", Tag.PANDAS: "2.2.0"})

    assert mismatches(image, CLIENT, allow_mismatch=False) == (
        "The image has dask 2026.7.0, this machine 2026.8.0:"
        " data that one side sends may not work on the other.",
        "The image has pandas 2.2.0, this machine 3.1.1: data that one side sends may not work on the other.",
    )


def test_an_image_like_this_machine_has_no_warnings():
    assert mismatches(tagged(ALIKE), CLIENT, allow_mismatch=False) == ()


def test_the_newest_verified_image_of_the_architecture_is_chosen():
    images = (
        baked(None, id="ami-5"),
        baked("no", id="ami-4"),
        baked(id="ami-3", architecture="arm64"),
        baked(Verified.SKIPPED, id="ami-2"),
        baked(id="ami-1"),
    )

    assert newest_verified(images, INTEL) == images[3]
    assert newest_verified(images, OLDER_INTEL) == images[3]
    assert newest_verified(images, GRAVITON) == images[2]
    assert newest_verified(images, APPLE) == images[2]


def test_an_image_with_this_machine_s_python_is_preferred_to_a_newer_one():
    tags = {Tag.MANAGED: "true", Tag.VERIFIED: "yes"}
    newer, older = (tagged({**tags, Tag.PYTHON: python}, id=python) for python in ("3.13.5", "3.11.2"))
    assert newest_verified((newer, older), INTEL, python="3.11.7") == older
    assert newest_verified((newer, older), INTEL, python="3.13.0") == newer
    assert newest_verified((newer, older), INTEL, python="3.12.0") == newer


def test_the_newest_image_of_the_requested_environment_is_chosen():
    """Images without the tag are of the default environment."""
    mine, torch, old = baked(id="ami-1"), baked(id="ami-3"), baked(id="ami-2")
    mine = replace(mine, tags=(*mine.tags, (Tag.ENVIRONMENT, "dask")))
    torch = replace(torch, tags=(*torch.tags, (Tag.ENVIRONMENT, "torch")))

    assert newest_verified((torch, mine), INTEL) == mine
    assert newest_verified((torch, old, mine), INTEL) == old
    assert newest_verified((mine, torch), INTEL, environment="torch") == torch
    with pytest.raises(BakeError) as caught:
        newest_verified((mine, torch), INTEL, environment="taxi")
    assert (caught.value.message, caught.value.hint) == (
        "there is no image of the environment taxi",
        "dask-bake bake makes one; images of others: --image dask, --image torch",
    )


def test_without_images_the_hint_is_the_bake_command():
    with pytest.raises(BakeError) as caught:
        newest_verified((), INTEL)

    assert (caught.value.message, caught.value.hint) == (
        "there is no image to launch from",
        "dask-bake bake makes one; where another region has one, it is faster to run dask-bake images copy"
        " --region THERE --to-region HERE",
    )


def test_without_a_verified_image_the_newest_one_is_named():
    with pytest.raises(BakeError) as caught:
        newest_verified((baked(None, id="ami-2"), baked(None, id="ami-1")), INTEL)

    assert (caught.value.message, caught.value.hint) == (
        "no image is verified: ami-2 is still being verified, or failed",
        "dask-bake bake makes one that is; --ami ami-2 uses this one anyway",
    )


@pytest.mark.parametrize(
    ("architecture", "instance_type"),
    [("x86_64", INTEL), ("x86_64", OLDER_INTEL), ("i386", OLDER_INTEL), ("arm64", GRAVITON)],
)
def test_an_image_fits_a_type_of_its_architecture(architecture, instance_type):
    check_architecture(baked(architecture=architecture), instance_type)


@pytest.mark.parametrize(
    ("architecture", "instance_type", "bakeable", "refusal"),
    [
        (
            "arm64",
            INTEL,
            tuple(Architecture),
            (
                "the image ami-0123456789abcdef0 is arm64, the type m6i.2xlarge is x86_64",
                "--type m6g.2xlarge runs it; dask-bake bake --arch x86_64 makes one for m6i.2xlarge",
            ),
        ),
        (
            "x86_64",
            GRAVITON,
            (Architecture.X86_64,),
            (
                "the image ami-0123456789abcdef0 is x86_64, the type m6g.2xlarge is arm64",
                "--type m6i.2xlarge runs it",
            ),
        ),
        (
            "arm64",
            OLDER_INTEL,
            tuple(Architecture),
            (
                "the image ami-0123456789abcdef0 is arm64, the type t2.micro is i386 or x86_64",
                "--type m6g.2xlarge runs it; dask-bake bake --arch x86_64 makes one for t2.micro",
            ),
        ),
        (
            "i386",
            APPLE,
            tuple(Architecture),
            (
                "the image ami-0123456789abcdef0 is i386, the type mac2.metal is arm64_mac",
                "take another --type",
            ),
        ),
    ],
)
def test_an_instance_type_of_another_architecture_is_wrong_use_with_a_hint(
    architecture, instance_type, bakeable, refusal
):
    with pytest.raises(UsageError) as caught:
        check_architecture(baked(architecture=architecture), instance_type, bakeable)

    assert (caught.value.message, caught.value.hint) == refusal


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (baked(), ()),
        (IMAGE, ()),
        (tagged({Tag.VERIFIED: "skipped"}), ()),
        (
            baked(Verified.SKIPPED),
            ("The image ami-0123456789abcdef0 was not verified: dask-bake bake verifies it.",),
        ),
        (
            baked(None),
            (
                "The image ami-0123456789abcdef0 is still being verified, or its verification failed:"
                " dask-bake bake makes one that is verified.",
            ),
        ),
    ],
)
def test_a_baked_image_that_is_not_verified_has_a_warning(image, expected):
    assert doubts(image) == expected


@pytest.mark.parametrize(
    ("name", "architecture", "expected"),
    [
        (BASE, "x86_64", "debian-12-amd64-*"),
        ("debian-12-amd64-20260101-local", "x86_64", "debian-12-amd64-*"),
        ("debian-13-arm64-20260101-1234", "arm64", "debian-13-arm64-*"),
        (BASE, "arm64", None),
        (BASE, "i386", None),
        ("debian-12-backports-amd64-20260101-1234", "x86_64", None),
        ("ubuntu-24.04", "x86_64", None),
        ("", "x86_64", None),
        ("", "i386", None),
    ],
)
def test_only_bases_of_debian_have_a_pattern_for_newer_ones(name, architecture, expected):
    assert base_names(baked(base=name, architecture=architecture)) == expected


SUPERSEDED = (
    "The image's base debian-12-amd64-20260101-1234 has been superseded by"
    " debian-12-amd64-20260401-1234: dask-bake bake uses that.",
)


@pytest.mark.parametrize(
    ("image", "newest_base", "days", "expected"),
    [
        (baked(), BASE, 90, ()),
        (baked(), None, 90, ()),
        (baked(), NEWER_BASE, 1, SUPERSEDED),
        (baked(), NEWER_BASE, 91, SUPERSEDED),
        (baked(), BASE, 91, ("The image is 91 days old: dask-bake lock, then dask-bake bake, renew it.",)),
        (baked(), None, 200, ("The image is 200 days old: dask-bake lock, then dask-bake bake, renew it.",)),
        (IMAGE, None, 200, ()),
        (baked(created=datetime.fromtimestamp(0, UTC)), None, 200, ()),
    ],
)
def test_a_baked_image_is_stale_when_its_base_is_or_after_90_days(image, newest_base, days, expected):
    now = IMAGE.created + timedelta(days=days)

    assert staleness(image, newest_base=newest_base, now=now) == expected
