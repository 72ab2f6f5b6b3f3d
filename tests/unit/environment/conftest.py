"""Fixtures of tests that use the real rattler."""

import time
from collections.abc import Iterator

import pytest

from dask_bake.environment.conda import channels


@pytest.fixture(scope="session", autouse=True)
def settled() -> Iterator[None]:
    """Wait once, after the last test, for rattler's threads."""
    grace = channels.SHUTDOWN_GRACE
    yield
    time.sleep(grace)
