"""Deprecation times of images."""

from datetime import UTC, datetime

import pytest

from dask_bake.local.ec2.images import deprecation_time
from dask_bake.local.query_protocol import Refusal

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-03-01T10:20:29Z", "2026-03-01T10:20:00.000Z"),
        ("2026-03-01T10:20:30Z", "2026-03-01T10:21:00.000Z"),
        ("2026-03-01T10:20:00.000Z", "2026-03-01T10:20:00.000Z"),
        ("2026-03-01T10:20:00+02:00", "2026-03-01T08:20:00.000Z"),
        ("2026-03-01T10:20:00", "2026-03-01T10:20:00.000Z"),
        ("2035-12-31T00:00:00Z", "2035-12-31T00:00:00.000Z"),
    ],
)
def test_seconds_are_rounded_to_the_nearest_minute(text, time):
    assert deprecation_time(text, NOW) == time


@pytest.mark.parametrize("text", ["", "soon", "2025-12-31T23:59:59Z", "2036-02-01T00:00:00Z"])
def test_a_past_invalid_or_distant_deprecation_time_is_refused(text):
    with pytest.raises(Refusal) as caught:
        deprecation_time(text, NOW)

    assert caught.value.code == "InvalidParameterValue"
