"""Plans of copies: what is copied, and to which regions."""

from dataclasses import replace
from datetime import timedelta

import pytest

from dask_bake.errors import BakeError, UsageError
from dask_bake.images.copy_plan import CopyPlan, CopyStep, check_regions
from dask_bake.models.tags import Tag
from fake_images import NOW, a_copy_plan, a_snapshot, an_image, some_facts


def test_a_copy_has_all_tags_except_verified_until_it_is_complete():
    source = replace(
        some_facts(),
        image=replace(an_image(), tags=(("aws:own", "x"), *an_image().tags)),
        snapshot=a_snapshot(tags=((Tag.MANAGED, "true"), (f"{Tag.MANIFEST}30", "AAAA"))),
    )
    kept = tuple((key, value) for key, value in an_image().tags if key != Tag.VERIFIED)

    assert a_copy_plan(source, description="a bake", deprecation=NOW + timedelta(days=90)) == CopyPlan(
        source=source.image,
        from_region="us-east-1",
        to_region="eu-west-1",
        step=CopyStep.COPY,
        name="dask-bake-000000000001",
        description="a bake",
        tags=(("Name", "dask-bake-000000000001"), *kept),
        snapshot_tags=(
            ("Name", "dask-bake-000000000001"),
            (Tag.MANAGED, "true"),
            (f"{Tag.MANIFEST}30", "AAAA"),
        ),
        verified=((Tag.VERIFIED, "yes"),),
        deprecation=NOW + timedelta(days=90),
    )


def test_a_past_deprecation_time_is_moved_to_the_near_future():
    assert a_copy_plan(deprecation=NOW - timedelta(days=9)).deprecation == NOW + timedelta(minutes=5)


def test_a_failed_copy_is_made_again_under_another_name():
    failed = an_image(state="failed", verified=None)
    plan = a_copy_plan(there=(failed,))
    assert (plan.step, plan.name) == (CopyStep.COPY, "dask-bake-000000000001-2")


@pytest.mark.parametrize("image", [{"verified": None}, {"state": "pending"}])
def test_an_unverified_image_is_not_copied(image):
    with pytest.raises(BakeError, match="is not verified"):
        a_copy_plan(some_facts(**image))


def test_regions_are_checked_and_duplicates_are_dropped():
    known = ("eu-west-1", "us-east-1", "us-west-2")
    assert check_regions(["us-west-2", "eu-west-1", "us-west-2"], source="us-east-1", known=known) == (
        "us-west-2",
        "eu-west-1",
    )
    with pytest.raises(UsageError, match="eu-west-9"):
        check_regions(["eu-west-9"], source="us-east-1", known=known)
    with pytest.raises(UsageError, match="us-east-1"):
        check_regions(["us-east-1"], source="us-east-1", known=known)
