"""Verification of images in a bake, and what a failed one leaves."""

import pytest

from baking import Bench
from dask_bake.errors import BakeError, NotReadyError
from dask_bake.models.tags import Tag
from fakes import hint_of


def test_an_image_baked_without_verification_is_tagged_skipped(bench: Bench) -> None:
    assert bench.bake(verify=False, deprecate_after=0).image.tag(Tag.VERIFIED) == "skipped"
    assert bench.verification.verified == []
    assert not bench.bake(verify=False).built
    assert "deprecate" not in str(bench.cloud.done)


def test_an_unverified_image_is_verified_and_not_built_again(bench: Bench) -> None:
    bench.bake(verify=False)
    result = bench.bake()
    assert (result.built, result.image.tag(Tag.VERIFIED)) == (False, "yes")
    assert bench.verification.verified == ["ami-1"]


def test_an_existing_image_that_fails_its_verification_is_tagged_failed_and_not_used_again(
    bench: Bench,
) -> None:
    bench.bake(verify=False)
    bench.verification.fails = NotReadyError("it does not compute", hint="look")
    with pytest.raises(BakeError, match="it does not compute") as caught:
        bench.bake()
    assert hint_of(caught.value) == "look; dask-bake bake --force builds the image again"
    assert bench.cloud.image("ami-1").tag(Tag.VERIFIED) == "failed"
    bench.assert_nothing_left()
    bench.verification.fails = None
    assert bench.bake().image.id == "ami-2"


def test_an_existing_image_keeps_its_tag_if_the_verification_could_not_run(bench: Bench) -> None:
    bench.bake(verify=False)
    bench.verification.fails = BakeError("AWS lacks capacity for this request")
    with pytest.raises(BakeError, match="lacks capacity"):
        bench.bake()
    assert bench.cloud.image("ami-1").tag(Tag.VERIFIED) == "skipped"


@pytest.mark.parametrize("error", [BakeError("it does not compute"), KeyboardInterrupt()])
def test_a_new_image_that_fails_its_verification_is_removed(bench: Bench, error: BaseException) -> None:
    bench.verification.fails = error
    with pytest.raises(type(error)):
        bench.bake()
    assert bench.cloud.own_images == []
    assert bench.notes == ["The image ami-1 was removed."]
    bench.assert_nothing_left()
