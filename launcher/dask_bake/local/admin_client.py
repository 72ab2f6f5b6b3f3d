"""HTTP client of the local cloud's admin API: it signs its requests, and accepts only signed responses."""

import hmac
import json
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from dask_bake.errors import BakeError, NotAwsResponseError, UsageError
from dask_bake.local.credentials import Credentials, read_credentials
from dask_bake.local.settings import Settings, read_settings

ADMIN_TIMEOUT = 10.0
"""Seconds for requests that take the local cloud no work."""
MAX_ANSWER = 100_000_000
"""Bytes: the request log of a long test is the largest."""
PROOF_HEADER = "X-Dask-Bake-Proof"


def ask(
    method: str,
    subject: str,
    content: dict[str, Any] | None = None,
    *,
    settings: Settings | None = None,
    credentials: Credentials | None = None,
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
    body = b"" if content is None else json.dumps(content).encode()
    status, answer = _send(
        settings, credentials or read_credentials(settings), method, subject, body, timeout
    )
    if status < 400:
        return json.loads(answer)
    try:
        refused = json.loads(answer)
        kind = UsageError if status < 500 else BakeError
        error = kind(refused["error"], hint=refused["hint"])
    except (ValueError, KeyError, TypeError):
        error = BakeError(f"the local cloud has no {subject}", hint="dask-bake local down, then local up")
    raise error


def _send(
    settings: Settings, credentials: Credentials, method: str, subject: str, body: bytes, timeout: float
) -> tuple[int, bytes]:
    """Return status and body of a response that the server with this key pair has given to this request."""
    from dask_bake.local.signature import signed_headers

    url = f"{settings.url}/_dask_bake/{subject}"
    headers = signed_headers(credentials, method, url, body)
    request = Request(url, data=body or None, method=method, headers=headers)  # noqa: S310 - our own
    try:
        try:
            response = build_opener(ProxyHandler({}), _NoRedirect()).open(request, timeout=timeout)
        except HTTPError as error:
            response = error
        with response:
            answer, said = response.read(MAX_ANSWER), response.headers.get(PROOF_HEADER, "")
    except (OSError, HTTPException) as error:
        raise BakeError(
            f"the local cloud does not answer at {settings.url}", hint="start it with dask-bake local up"
        ) from error
    check_proof(credentials, settings.url, headers["Authorization"], said, answer)
    return response.status, answer


def check_proof(credentials: Credentials, url: str, authorization: str, proved: str, answer: bytes) -> None:
    """Check that the answer to a request comes from the server with this key pair.

    Args:
        url: the endpoint, for the error.
        authorization: the request's header.
        proved: the answer's ``PROOF_HEADER``.

    Raises:
        NotAwsResponseError: when it does not.
    """
    from dask_bake.local.signature import proof

    if not hmac.compare_digest(proved.encode(), proof(credentials, authorization, answer).encode()):
        raise NotAwsResponseError(
            f"another program answers at {url}, or the local cloud was started again",
            hint="dask-bake local status; DASK_BAKE_LOCAL_PORT sets another port",
        )


class _NoRedirect(HTTPRedirectHandler):
    """Follows no redirect: the local cloud has none."""

    def redirect_request(self, *_: object) -> None:
        """Return None: the redirect is the answer."""
