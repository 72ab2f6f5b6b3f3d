"""Whatever fails: a command ends, says truly what there is, and nothing is left of what was ended."""

import sys
from random import Random

from dask_bake.local.faults.model import FaultKind
from soak import Report, batches, soak


def test_nothing_hangs_leaks_or_breaks_in_200_cycles_in_which_a_fifth_of_the_requests_fail(capsys):
    seed = Random().getrandbits(32)
    with capsys.disabled():
        sys.stdout.write(f" seed {seed} ")

    report = Report()
    for batch in batches(0, 200):
        report.add(soak(seed, batch))

    assert report.findings == [], f"seed {seed}"
    assert report.codes["launch 0"] > 20
    assert [kind for kind in FaultKind if not report.kinds[kind]] == [], "not all kinds of faults struck"
