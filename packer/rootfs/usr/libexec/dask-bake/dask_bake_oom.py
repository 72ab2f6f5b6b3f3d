"""Loaded by each worker process: where memory runs out, the kernel ends it, and not the nannies of all."""

from pathlib import Path
from typing import Any

MORE_EXPENDABLE = 500
"""Of a thousand (proc(5), oom_score_adj): more than the nannies, which have what the unit has."""


def dask_setup(_worker: Any) -> None:
    """Say so to the kernel; anybody may become more expendable than he was."""
    Path("/proc/self/oom_score_adj").write_text(f"{MORE_EXPENDABLE}\n")
