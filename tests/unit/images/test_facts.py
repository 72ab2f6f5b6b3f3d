"""Properties of an image, and the choice of one by a reference."""

from dataclasses import replace

import pytest

from dask_bake.errors import BakeError, UsageError
from dask_bake.images.facts import choose, family, require_manifest
from fake_images import BASE, MANIFEST, NEWER_BASE, a_snapshot, an_image, holding, some_facts
from fakes import hint_of


@pytest.mark.parametrize(
    ("base", "newest", "superseded"),
    [(BASE, NEWER_BASE, True), (BASE, BASE, False), (BASE, "", None), (None, NEWER_BASE, None)],
)
def test_a_base_is_superseded_by_a_newer_one_of_its_family(base, newest, superseded):
    assert some_facts(base_name=base, newest_base=newest).is_superseded is superseded


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        (BASE, "debian-12-amd64-*"),
        ("debian-12-amd64-20260701-local", "debian-12-amd64-*"),
        ("debian-13-arm64-20260701", "debian-13-arm64-*"),
        ("our-own-base", ""),
        ("", ""),
    ],
)
def test_the_family_of_a_base_is_its_name_without_the_date(name, pattern):
    assert family(name) == pattern


def test_a_manifest_is_read_from_the_tags_of_image_and_snapshot():
    facts = holding(some_facts())
    doubled = replace(facts, snapshot=a_snapshot(tags=facts.image.tags))
    assert (facts.manifest, doubled.manifest) == (MANIFEST, MANIFEST)


def test_an_image_without_a_manifest_is_an_error_with_the_bake_command():
    with pytest.raises(BakeError, match="has no manifest: an older version baked it") as caught:
        require_manifest(some_facts())
    assert hint_of(caught.value) == "dask-bake bake --force bakes it again, with a manifest"


@pytest.mark.parametrize(
    ("reference", "number"),
    [
        (None, 2),
        ("ami-00000000000000003", 3),
        ("dask-bake-000000000003", 3),
        ("33", 3),
        ("A", 10),
        ("1", 1),
    ],
)
def test_an_image_is_chosen_by_id_name_or_digest_or_is_the_newest_verified_one(reference, number):
    facts = [some_facts(1, verified=None), some_facts(2), some_facts(3), some_facts(10)]
    assert choose(facts, reference).image == an_image(number, **({"verified": None} if number == 1 else {}))


def test_of_two_images_with_one_digest_the_available_one_is_chosen():
    facts = [some_facts(1, digest="f" * 64, state="pending"), some_facts(2, digest="f" * 64)]
    assert choose(facts, "fff").image.id == facts[1].image.id


@pytest.mark.parametrize("reference", ["ami-1", "nope", "", "dask-bake-"])
def test_an_unknown_image_is_wrong_use(reference):
    with pytest.raises(UsageError, match=f"image '{reference}'"):
        choose([some_facts()], reference)


def test_an_ambiguous_digest_is_wrong_use():
    facts = [some_facts(1, digest="abc1" + "0" * 60), some_facts(2, digest="abc2" + "0" * 60)]
    with pytest.raises(UsageError, match="'abc' begins more than one digest: abc100000, abc200000"):
        choose(facts, "abc")


@pytest.mark.parametrize("facts", [[], [some_facts(verified=None)], [some_facts(state="pending")]])
def test_without_an_available_image_the_hint_is_the_bake_command(facts):
    with pytest.raises(BakeError, match="there is no image") as caught:
        choose(facts, None)
    assert (hint_of(caught.value), caught.value.exit_code) == ("dask-bake bake makes one", 1)
