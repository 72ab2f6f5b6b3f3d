"""HTTP client of the local cloud's admin API."""

import json
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

from dask_bake.errors import BakeError, UsageError
from dask_bake.local.settings import Settings, read_settings

ADMIN_TIMEOUT = 10.0
"""Seconds for requests that take the local cloud no work."""


def ask(
    method: str,
    subject: str,
    content: dict[str, Any] | None = None,
    *,
    settings: Settings | None = None,
    timeout: float = ADMIN_TIMEOUT,
) -> Any:
    """Send a request to the admin API, and return its response.

    Args:
        subject: the resource, such as ``faults`` or ``bases``.

    Raises:
        UsageError: when the local cloud refuses the request.
        BakeError: when it fails, or does not answer.
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
            f"another program answers at {settings.url}",
            hint="set DASK_BAKE_LOCAL_PORT to the local cloud's port",
        ) from error
    except (OSError, ValueError) as error:
        raise BakeError(
            f"the local cloud does not answer at {settings.url}", hint="start it with dask-bake local up"
        ) from error


def _refusal(error: HTTPError) -> BakeError | None:
    """Return the local cloud's error; None where the response is another program's."""
    with error:
        try:
            content = json.load(error)
            kind = UsageError if error.code < 500 else BakeError
            return kind(content["error"], hint=content["hint"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
