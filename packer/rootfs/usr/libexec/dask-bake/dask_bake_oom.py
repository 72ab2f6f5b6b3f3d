"""Dask preload of each worker process: make the kernel end it before the nannies when memory runs out."""

from pathlib import Path
from typing import Any

OOM_SCORE_ADJUSTMENT = 500
"""On a scale to 1000 (see proc(5), oom_score_adj); the nannies keep their unit's 0."""


def dask_setup(_worker: Any) -> None:
    """Set the adjustment; a process may always raise its own."""
    Path("/proc/self/oom_score_adj").write_text(f"{OOM_SCORE_ADJUSTMENT}\n")
