"""Options of a bake."""

import pytest

from dask_bake.bake.options import BakeOptions, bake_options
from dask_bake.bake.plan import launch_options
from dask_bake.errors import UsageError
from dask_bake.models.cloud import Connect


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"volume_size": 7}, "--volume-size is in GiB: at least 8, not 7"),
        ({"deprecate_after": -1}, "--deprecate-after is in days: at least 0, not -1"),
        ({"timeout": 0}, "--timeout is in seconds: at least 1, not 0"),
        ({"deprecate_after": 3651}, "--deprecate-after is in days: at most 3650, not 3651"),
    ],
)
def test_values_outside_their_limits_are_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        bake_options(options, {})
    assert caught.value.message == message


def test_the_place_of_a_bake_is_given_like_that_of_a_launch() -> None:
    flags = {
        "zone": ("us-east-1b,us-east-1a",),
        "vpc_id": "vpc-1",
        "subnet_id": "subnet-1",
        "private": True,
        "cidr": ("10.0.0.7",),
    }
    options = bake_options(flags, {})

    assert (options.zone, options.vpc_id, options.subnet_id, options.private, options.cidr) == (
        ("us-east-1b", "us-east-1a"),
        "vpc-1",
        "subnet-1",
        True,
        ("10.0.0.7/32",),
    )


def test_the_limit_of_a_step_is_the_verification_s_too_if_it_is_given() -> None:
    by_default, given = bake_options({}, {}), bake_options({"timeout": 1200}, {})

    assert (by_default.step_timeout, by_default.verification_timeout) == (3600, 300)
    assert (given.step_timeout, given.verification_timeout) == (1200, 1200)


@pytest.mark.parametrize(("options", "limit"), [({}, 300), ({"timeout": 1200}, 1200)])
def test_the_cluster_that_verifies_is_in_the_place_of_the_build(options: dict[str, int], limit: int) -> None:
    chosen = launch_options(BakeOptions(zone=("us-east-1b",), private=True, **options), "image-1-proof")

    assert (chosen.zone, chosen.private, chosen.transport) == (("us-east-1b",), True, Connect.DIRECT)
    assert (chosen.count, chosen.type, chosen.timeout) == (2, ("m5.large",), limit)
