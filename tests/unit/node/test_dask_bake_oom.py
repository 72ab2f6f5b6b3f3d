"""A worker process that the kernel ends before the nannies."""

import subprocess
import sys

from node_programs import LIBEXEC

CODE = """
import dask_bake_oom
dask_bake_oom.dask_setup(None)
print(open("/proc/self/oom_score_adj").read().strip())
"""


def test_a_worker_process_raises_its_own_score():
    """In a process of its own, which the kernel may then end as it likes."""
    done = subprocess.run(
        [sys.executable, "-c", CODE], cwd=LIBEXEC, capture_output=True, text=True, check=True
    )

    assert done.stdout == "500\n"
