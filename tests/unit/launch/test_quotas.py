"""Quotas: a launch with several types is refused only if each of them exceeds its quota."""

from dataclasses import replace

import pytest

from dask_bake.errors import BakeError
from dask_bake.models.tags import Tag, Verified
from dask_bake.options.launch import LaunchOptions
from fakes import CLOUD, IMAGE, TYPES, FakeQueries, a_target

BAKED = replace(IMAGE, tags=((Tag.MANAGED, "true"), (Tag.USER, "admin"), (Tag.VERIFIED, Verified.YES)))
STANDARD, GRAPHICS = "L-1216C47A", "L-DB2E81BA"
BOTH = {"type": ("m6i.2xlarge", "g5.2xlarge"), "count": 9}


def the_target(quotas, **options):
    """Return the target of a launch in an account with these quotas."""
    there = FakeQueries(images={"self": (BAKED,)}, types=TYPES, quotas=quotas)
    return a_target(LaunchOptions(**options), CLOUD, there)


@pytest.mark.parametrize(
    "quotas",
    [
        {STANDARD: 8.0, GRAPHICS: 64.0},
        {STANDARD: 72.0, GRAPHICS: 0.0},
        {STANDARD: 8.0},
    ],
    ids=str,
)
def test_one_type_within_its_quota_is_enough(quotas):
    assert the_target(quotas, **BOTH, head_type=("m6i.2xlarge",)).image == BAKED


def test_a_second_head_type_within_its_quota_is_enough():
    options = {"head_type": ("g5.2xlarge", "m6i.2xlarge"), "count": 3}

    assert the_target({STANDARD: 24.0, GRAPHICS: 0.0}, **options).image == BAKED


def test_if_every_type_exceeds_its_quota_that_of_the_first_type_is_named():
    with pytest.raises(BakeError, match=rf"asks for 72 vCPUs at once, .*\({STANDARD}\) is 64$"):
        the_target({STANDARD: 64.0, GRAPHICS: 32.0}, **BOTH, head_type=("m6i.2xlarge",))
