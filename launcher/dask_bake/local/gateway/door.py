"""Access control of the endpoint: origin, host and signature of a request, before anything else reads it.

Programs sign what they send. Web pages are kept out altogether: what a page sends to another address says
so in ``Origin``, what it only loads, such as an image, says so in ``Sec-Fetch-Site``, and a page that had its
own name resolved to this machine says so in ``Host``.
"""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from werkzeug.wrappers import Request as HttpRequest

from dask_bake.local.credentials import Credentials
from dask_bake.local.iam.sessions import Session, Sessions
from dask_bake.local.settings import S3_DOMAIN
from dask_bake.local.signature import (
    Authorization,
    SignatureError,
    check_key,
    check_signature,
    read_authorization,
)

MAX_BODY = 8_000_000
"""Bytes of a request to another service than S3."""
MAX_SESSION_BODY = 100_000_000
"""Bytes of a request of a session: a larger object is uploaded in parts."""


class ForeignRequestError(Exception):
    """A request from a web page, or to another host; the response is a plain 403."""


@dataclass(frozen=True)
class Caller:
    """Sender of a request: the account's root user, or a session."""

    authorization: Authorization
    session: Session | None = None


@dataclass(frozen=True)
class Door:
    """The checks of every request, by the key pair of this local cloud and by session credentials."""

    credentials: Credentials
    sessions: Sessions
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def check_source(self, environ: dict[str, Any], *, is_instance: bool = False) -> None:
        """Check that a request comes from no web page, and is meant for this endpoint.

        Raises:
            ForeignRequestError: when it does, or is not.
        """
        is_of_page = "HTTP_ORIGIN" in environ or environ.get("HTTP_SEC_FETCH_SITE", "none") != "none"
        if is_of_page or environ["REQUEST_METHOD"] == "OPTIONS":
            raise ForeignRequestError("Web pages cannot use the local cloud.")
        host = environ.get("HTTP_HOST", "").lower()
        own = {f"{name}:{environ['SERVER_PORT']}" for name in ("127.0.0.1", "localhost", "[::1]")}
        if host not in own and not (is_instance and bucket_named(host) is not None):
            raise ForeignRequestError("The local cloud has no such host name.")
        if not environ["RAW_URI"].startswith("/"):
            raise ForeignRequestError("The local cloud is no proxy.")

    def check_signature(self, environ: dict[str, Any]) -> Caller:
        """Check the signature of a request, and leave its body in ``environ`` to be read again.

        Raises:
            SignatureError: when it is missing, wrong or old.
        """
        authorization = read_authorization(environ.get("HTTP_AUTHORIZATION", ""))
        if authorization is None:
            raise SignatureError("AccessDenied", "Access Denied")
        session, credentials = self.sessions.find(authorization.access_key), self.credentials
        if session is None:
            check_key(credentials, authorization)
        else:
            session.check(environ.get("HTTP_X_AMZ_SECURITY_TOKEN", ""), self.now())
            credentials = session.credentials
            _check_size(environ)
        if authorization.service != "s3" and int(environ.get("CONTENT_LENGTH") or 0) > MAX_BODY:
            raise SignatureError("AccessDenied", "The request is too large.")
        body = HttpRequest(environ).get_data()
        check_signature(credentials, environ, authorization, body, now=self.now())
        environ.pop("HTTP_TRANSFER_ENCODING", None)
        environ.pop("wsgi.input_terminated", None)
        environ |= {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        return Caller(authorization, session)


def _check_size(environ: Mapping[str, Any]) -> None:
    """Check that a session's request has a size, and is not too large: it is held in memory.

    Raises:
        SignatureError: when it has none, or is too large.
    """
    if "HTTP_TRANSFER_ENCODING" in environ:
        raise SignatureError(
            "MissingContentLength", "You must provide the Content-Length HTTP header.", status=411
        )
    if int(environ.get("CONTENT_LENGTH") or 0) > MAX_SESSION_BODY:
        raise SignatureError(
            "EntityTooLarge", "Your proposed upload exceeds the maximum allowed size", status=400
        )


def bucket_named(host: str) -> str | None:
    """Return the bucket in a host name by which instances reach S3; it may be empty; None for other names."""
    name = f".{host.lower().removesuffix(':80')}"
    return name.removesuffix(f".{S3_DOMAIN}").removeprefix(".") if name.endswith(f".{S3_DOMAIN}") else None
