"""The one runner for the system's programs."""

import subprocess
from collections.abc import Sequence

from dask_bake.errors import BakeError


def run(command: Sequence[str], *, text: str | None = None) -> str:
    """What the command printed.

    Raises:
        BakeError: when it is not installed or fails, with the last line that it said.
    """
    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
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
    subprocess.run(command, capture_output=True, check=False)
