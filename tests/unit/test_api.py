"""The Python API, as far as it needs no cluster."""

import warnings

import pytest
from distributed.versions import VersionMismatchWarning

from dask_bake.api import is_small_talk, without_small_talk

PATCH = "| python | 3.11.7.final.0 | 3.11.2.final.0 | 3.11.2.final.0 |\n"
MINOR = "| python | 3.13.1.final.0 | 3.11.2.final.0 | 3.11.2.final.0 |\n"
PACKAGE = "| distributed | 2026.7.0 | 2026.8.0 | 2026.8.0 |\n"
BORDER = "+---------+----------------+----------------+----------------+\n"
HEADER = f"Mismatched versions found\n\n{BORDER}| Package | Client | Scheduler | Workers |\n{BORDER}"


@pytest.mark.parametrize(
    ("rows", "small"),
    [(PATCH, True), (MINOR, False), (PACKAGE, False), (PACKAGE + PATCH, False), ("", False)],
)
def test_only_a_mismatch_of_the_python_patch_release_is_suppressed(rows, small):
    """A different minor version, or any package, is worth a warning."""
    assert is_small_talk(HEADER + rows + BORDER) is small


def test_other_warnings_are_passed_on():
    """All other warnings are shown."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with without_small_talk():
            warnings.warn(VersionMismatchWarning(HEADER + PATCH), stacklevel=1)
            warnings.warn(VersionMismatchWarning(HEADER + MINOR), stacklevel=1)
            warnings.warn("something else", UserWarning, stacklevel=1)

    assert [warning.category for warning in caught] == [VersionMismatchWarning, UserWarning]
