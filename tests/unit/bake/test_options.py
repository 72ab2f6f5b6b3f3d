"""Options of a bake."""

import pytest

from dask_bake.bake.options import bake_options
from dask_bake.errors import UsageError


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
