"""HTTP client of the fault API of a running local cloud."""

from typing import Any

from dask_bake.local.admin_client import ask


def add_fault(options: dict[str, Any]) -> str:
    """Add a fault rule, or apply a fault to a running instance, and return the id of either.

    Raises:
        UsageError: when the options describe no fault.
        BakeError: when the local cloud does not answer.
    """
    return str(ask("POST", "faults", options)["id"])


def list_faults() -> list[dict[str, Any]]:
    """Return the rules in force, with the number of requests that each has matched and failed."""
    return list(ask("GET", "faults"))


def clear_faults() -> None:
    """Remove all rules."""
    ask("DELETE", "faults")
