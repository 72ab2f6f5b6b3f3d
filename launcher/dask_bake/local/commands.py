"""The one runner for the system's programs."""

import subprocess
from collections.abc import Sequence
from contextlib import suppress

from dask_bake.errors import BakeError

LONGEST = 600.0
"""Seconds after which a program that should take none of them is ended."""


def run(command: Sequence[str], *, text: str | None = None, seconds: float = LONGEST) -> str:
    """What the command printed.

    Raises:
        BakeError: when it is not installed, fails, with the last line that it said, or does not end.
    """
    try:
        done = subprocess.run(
            command, input=text, capture_output=True, text=True, check=False, timeout=seconds
        )
    except subprocess.TimeoutExpired:
        raise BakeError(
            f"`{' '.join(command[:3])}` did not end within {seconds:.0f} s.",
            hint="`dask-bake local doctor` says what is left over.",
        ) from None
    except FileNotFoundError:
        raise BakeError(
            f"The program {command[0]} is not installed.",
            hint="`dask-bake local doctor` says what is missing.",
        ) from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["it said nothing"]
        raise BakeError(f"`{' '.join(command[:3])}` failed: {said[-1]}")
    return done.stdout


def attempt(command: Sequence[str]) -> None:
    """Run a command whose failure does not matter, because its aim may be reached already."""
    with suppress(subprocess.TimeoutExpired):
        subprocess.run(command, capture_output=True, check=False, timeout=LONGEST)
