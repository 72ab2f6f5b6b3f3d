"""Whatever fails: a command ends, says truly what there is, and nothing is left of what was ended."""

import pytest

from dask_bake.local.faults.model import Kind
from soak import Report, batches, soak

SEED = 12
"""The same in each run; ``make soak`` goes on with others."""


@pytest.mark.slow
def test_nothing_hangs_leaks_or_breaks_in_200_cycles_in_which_a_fifth_of_the_requests_fail():
    report = Report()
    for batch in batches(0, 200):
        report.add(soak(SEED, batch))

    assert report.findings == []
    assert report.codes["launch 0"] > 20
    assert [kind for kind in Kind if not report.kinds[kind]] == [], "not all kinds of faults struck"
