"""Run tiers of tests one after the other, even if one fails, and print the seconds of each.

``python tests/support/tiers.py quick mission nodes`` exits with the worst exit code.
"""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

HOME = Path(__file__).parents[2]
PROCESSORS = os.cpu_count() or 1
INTERRUPTED = 2
QUICK = ("--ignore=tests/integration", "-m", "not slow", "--dist=worksteal")
MISSION = "tests/integration/test_mission.py"
CLOUDS = ("--dist=loadscope", f"--numprocesses={os.environ.get('CLOUDS', '3')}")
"""Processes with a local cloud each. They mostly wait for machines."""
TIERS: dict[str, tuple[str, ...]] = {
    # Half of the time tests wait for pauses or processes.
    "quick": (*QUICK, f"--numprocesses={PROCESSORS * 3 // 2}"),
    # Nine nodes need the whole machine.
    "mission": (MISSION,),
    "nodes": ("tests/integration", f"--ignore={MISSION}", "-m", "not slow", *CLOUDS),
    "slow": ("tests/integration", "tests/unit", "tests/functional", "-m", "slow", *CLOUDS),
}


def main(names: Sequence[str]) -> int:
    """Run these tiers; return the worst exit code."""
    summary, worst = [], 0
    for name in names:
        began = time.monotonic()
        code = subprocess.run(
            [sys.executable, "-m", "pytest", *TIERS[name]], cwd=HOME, check=False
        ).returncode
        summary.append(
            f"{name:8} {time.monotonic() - began:5.0f} s  {'passed' if code == 0 else f'failed ({code})'}"
        )
        worst = max(worst, abs(code))
        if code == INTERRUPTED:
            break
    sys.stdout.write("\n".join(["", *summary, ""]))
    return worst


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
