"""The soak test: every command ends, reports its leftovers correctly, and leaves nothing else."""

import pytest

from dask_bake.local.faults.model import FaultKind
from soak import Report, batches, soak

SEED = 12
"""Fixed for the test; ``make soak`` uses others."""


@pytest.mark.slow
def test_200_cycles_with_a_fifth_of_requests_failing_neither_hang_nor_leak_nor_crash():
    report = Report()
    for batch in batches(0, 200):
        report.add(soak(SEED, batch))

    assert report.findings == []
    assert report.codes["launch 0"] > 20
    assert [kind for kind in FaultKind if not report.kinds[kind]] == [], "not all kinds of faults struck"
