"""Wait for a condition."""

import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")


def until(
    condition: Callable[[], Value], *, timeout: float, describe: Callable[[], object] = lambda: ""
) -> Value:
    """Return the condition's value as soon as it is true; fail after the time-out.

    Args:
        timeout: in seconds.
        describe: returns the state to name in the failure.
    """
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {timeout} s in vain {describe()}"
        time.sleep(0.05)
    return value
