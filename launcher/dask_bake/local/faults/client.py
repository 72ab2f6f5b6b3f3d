"""The local cloud that runs, told from outside to have faults."""

import json
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

from dask_bake.errors import BakeError, UsageError
from dask_bake.local.settings import Settings, read_settings

PATIENCE = 10


def add_fault(said: dict[str, Any]) -> str:
    """Put a rule in force, or have an instance meet a fault; the id of either.

    Raises:
        UsageError: when it is no rule.
        BakeError: when the local cloud does not answer.
    """
    return str(_ask("POST", said)["id"])


def list_faults() -> list[dict[str, Any]]:
    """The rules in force, and how often each has struck."""
    return list(_ask("GET"))


def clear_faults() -> None:
    """Take all rules out of force."""
    _ask("DELETE")


def _ask(method: str, said: dict[str, Any] | None = None, settings: Settings | None = None) -> Any:
    settings = settings or read_settings()
    body = None if said is None else json.dumps(said).encode()
    request = Request(f"{settings.url}/_dask_bake/faults", data=body, method=method)  # noqa: S310 - our own
    try:
        with build_opener(ProxyHandler({})).open(request, timeout=PATIENCE) as answer:
            return json.load(answer)
    except HTTPError as error:
        told = _refusal(error)
        if told:
            raise told from None
        raise BakeError(
            f"At {settings.url} answers something else than the local cloud.",
            hint="Set DASK_BAKE_LOCAL_PORT to its port.",
        ) from error
    except (OSError, ValueError) as error:
        raise BakeError(
            f"The local cloud does not answer at {settings.url}.", hint="dask-bake local up starts it."
        ) from error


def _refusal(error: HTTPError) -> UsageError | None:
    """What the local cloud said no with; None when it was not the local cloud that did."""
    with error:
        try:
            told = json.load(error)
            return UsageError(told["error"], hint=told["hint"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
