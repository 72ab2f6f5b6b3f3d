"""Choices of a launch in tags: what is written is read, and nothing else."""

import pytest

from dask_bake.models.cloud import Market
from dask_bake.models.ec2 import Disk
from dask_bake.models.growth import Growth, growth_of
from dask_bake.models.tags import Tag

GROWTH = Growth(
    types=("m6i.2xlarge", "u-6tb1.112xlarge"),
    subnets=("subnet-0a1b2c3d4e5f67890", "subnet-2"),
    markets=(Market.SPOT, Market.ON_DEMAND),
    disk=Disk("gp2", 50, 200),
)


@pytest.mark.parametrize("growth", [GROWTH, Growth(("m5.large",), ("subnet-1",), (Market.SPOT,), Disk())])
def test_what_a_launch_writes_is_read_back(growth):
    assert growth_of(dict(growth.tags)) == growth


def test_a_head_of_an_older_version_says_nothing():
    assert growth_of({}) == Growth()


@pytest.mark.parametrize(
    "tags",
    [
        {Tag.TYPES: "../etc rm -rf", Tag.SUBNETS: "vpc-1 subnet-*", Tag.MARKET: "stolen", Tag.DISK: "gp3"},
        {Tag.DISK: "gp3 -1 9999"},
        {Tag.DISK: "gp3 50"},
    ],
)
def test_values_that_no_launch_writes_do_not_count(tags):
    assert growth_of(tags) == Growth()


def test_values_fit_into_tags_and_lose_the_last_preferences():
    types = tuple(f"m{number}i-flex.24xlarge" for number in range(40))
    written = dict(Growth(types=types).tags)[Tag.TYPES]

    assert len(written) <= 256
    assert growth_of({Tag.TYPES: written}).types == types[: len(written.split())]
