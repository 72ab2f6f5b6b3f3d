"""Run the quick tests many times in random order, on a machine that is busy.

Two runs at a time are each other's load: three test processes for each processor. ``python
tests/support/flaky.py 20`` prints the output of the runs that failed, and their seeds; ``pytest -p randomly
--randomly-seed=N`` repeats the order.
"""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from tiers import HOME, PROCESSORS, QUICK

AT_ONCE = 2


def main(runs: int) -> int:
    """Return how many of the runs failed."""
    failed = []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for seed, (code, seconds, output) in enumerate(pool.map(run, range(runs))):
            if code:
                failed.append(seed)
                sys.stdout.write(output)
            summary = output.rstrip().rpartition("\n")[2].strip("= ")
            sys.stdout.write(f"seed {seed}: {seconds:.0f} s, {summary}; failed so far: {failed or 'none'}\n")
            sys.stdout.flush()
    return len(failed)


def run(seed: int) -> tuple[int, float, str]:
    """Run the tests in the order of that seed; return exit code, seconds and output."""
    began = time.monotonic()
    command = [sys.executable, "-m", "pytest", *QUICK, f"--numprocesses={PROCESSORS * 3 // AT_ONCE}"]
    command += ["--quiet", "-p", "no:cacheprovider", "-p", "randomly", f"--randomly-seed={seed}"]
    ended = subprocess.run(
        command, cwd=HOME, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    return ended.returncode, time.monotonic() - began, ended.stdout


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 20))
