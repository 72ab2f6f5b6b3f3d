"""HTTP client of the local cloud's admin interface."""

import json
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

from dask_bake.errors import BakeError, UsageError
from dask_bake.local.settings import Settings, read_settings

ADMIN_TIMEOUT = 10.0
"""Seconds in which the local cloud answers what it need not work for."""


def ask(
    method: str,
    subject: str,
    content: dict[str, Any] | None = None,
    *,
    settings: Settings | None = None,
    timeout: float = ADMIN_TIMEOUT,
) -> Any:
    """Return the local cloud's answer about a subject: ``faults``, ``bases``.

    Raises:
        UsageError: when it refuses what was asked for.
        BakeError: when it cannot do it, or does not answer.
    """
    settings = settings or read_settings()
    body = None if content is None else json.dumps(content).encode()
    request = Request(f"{settings.url}/_dask_bake/{subject}", data=body, method=method)  # noqa: S310 - our own
    try:
        with build_opener(ProxyHandler({})).open(request, timeout=timeout) as answer:
            return json.load(answer)
    except HTTPError as error:
        refusal = _refusal(error)
        if refusal:
            raise refusal from None
        raise BakeError(
            f"At {settings.url} answers something else than the local cloud.",
            hint="Set DASK_BAKE_LOCAL_PORT to its port.",
        ) from error
    except (OSError, ValueError) as error:
        raise BakeError(
            f"The local cloud does not answer at {settings.url}.", hint="dask-bake local up starts it."
        ) from error


def _refusal(error: HTTPError) -> BakeError | None:
    """Return what the local cloud refused with; None when something else answered."""
    with error:
        try:
            said = json.load(error)
            kind = UsageError if error.code < 500 else BakeError
            return kind(said["error"], hint=said["hint"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
