"""The local cloud that runs, told from outside to have faults."""

from typing import Any

from dask_bake.local.admin_client import ask


def add_fault(said: dict[str, Any]) -> str:
    """Put a rule in force, or have an instance meet a fault; the id of either.

    Raises:
        UsageError: when it is no rule.
        BakeError: when the local cloud does not answer.
    """
    return str(ask("POST", "faults", said)["id"])


def list_faults() -> list[dict[str, Any]]:
    """The rules in force, and how often each has struck."""
    return list(ask("GET", "faults"))


def clear_faults() -> None:
    """Take all rules out of force."""
    ask("DELETE", "faults")
