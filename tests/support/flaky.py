"""Run the quick tests many times in random order, on a machine that is busy.

``python tests/support/flaky.py 20`` prints the seeds of the runs that failed; ``pytest -p randomly
--randomly-seed=N`` repeats the order.
"""

import multiprocessing
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tiers import HOME, PROCESSORS, QUICK


def main(runs: int) -> int:
    """Return how many of the runs failed."""
    failed = []
    with busy_processors():
        for seed in range(runs):
            command = [sys.executable, "-m", "pytest", *QUICK, f"--numprocesses={PROCESSORS * 2}", "--quiet"]
            command += ["-p", "randomly", f"--randomly-seed={seed}"]
            began = time.monotonic()
            if subprocess.run(command, cwd=HOME, check=False).returncode:
                failed.append(seed)
            sys.stdout.write(
                f"seed {seed}: {time.monotonic() - began:.0f} s; failed so far: {failed or 'none'}\n"
            )
    return len(failed)


@contextmanager
def busy_processors() -> Iterator[None]:
    """Keep each processor busy meanwhile."""
    counting = [multiprocessing.Process(target=count, daemon=True) for _ in range(PROCESSORS)]
    for process in counting:
        process.start()
    try:
        yield
    finally:
        for process in counting:
            process.terminate()
            process.join()


def count() -> None:
    """Keep a processor busy."""
    number = 0
    while True:
        number += 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 20))
