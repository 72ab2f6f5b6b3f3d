"""AWS's Signature Version 4 by botocore's own signer: made by the admin client, verified by the gateway.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials as BotoCredentials

from dask_bake.local.credentials import Credentials

AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 +Credential=(?P<key>[^/, ]+)/(?P<date>\d{8})/(?P<region>[^/, ]+)/(?P<service>[^/, ]+)"
    r"/aws4_request, *SignedHeaders=(?P<headers>[a-z0-9;-]+), *Signature=(?P<signature>[0-9a-f]{64})"
)
TIMESTAMP = "%Y%m%dT%H%M%SZ"
MAX_AGE = timedelta(minutes=15)
"""The difference of clocks that AWS accepts."""
REGION = "us-east-1"
ADMIN_SERVICE = "dask-bake"
"""The service in the signatures of requests to the admin API."""
UNSIGNED_BODIES = ("UNSIGNED-PAYLOAD", "STREAMING-")
"""Beginnings of what S3's clients declare in place of a body's hash."""


class SignatureError(Exception):
    """A request without a valid signature, or with an outdated one; ``code`` and ``status`` are S3's."""

    def __init__(self, code: str, message: str, *, status: int = 403) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


@dataclass(frozen=True)
class Authorization:
    """The parts of an Authorization header."""

    access_key: str
    date: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    signature: str


def read_authorization(header: str) -> Authorization | None:
    """Return the parts of an Authorization header; None where it is not of Signature Version 4."""
    found = AUTHORIZATION.fullmatch(header.strip())
    if found is None:
        return None
    headers = tuple(found["headers"].split(";"))
    return Authorization(
        found["key"], found["date"], found["region"], found["service"], headers, found["signature"]
    )


class _Signer(SigV4Auth):
    """botocore's signer, given the headers to sign and the body's hash."""

    def __init__(self, credentials: Credentials, service: str, region: str, body_hash: str) -> None:
        pair = BotoCredentials(credentials.access_key, credentials.secret_key)
        super().__init__(pair, service, region)
        self._body_hash = body_hash

    def headers_to_sign(self, request: AWSRequest) -> HTTPHeaders:
        """Return all headers of the request."""
        return request.headers

    def payload(self, _request: AWSRequest) -> str:
        """Return the body's hash."""
        return self._body_hash

    def signature_of(self, request: AWSRequest) -> str:
        """Return the signature of a request with a timestamp."""
        return str(self.signature(self.string_to_sign(request, self.canonical_request(request)), request))


class _S3Signer(_Signer):
    """The same for S3, whose paths are not normalised."""

    def _normalize_url_path(self, path: str) -> str:
        return path


def check_key(credentials: Credentials, authorization: Authorization) -> None:
    """Check the access key, before the body of the request is read.

    Raises:
        SignatureError: when it is unknown.
    """
    if not hmac.compare_digest(authorization.access_key.encode(), credentials.access_key.encode()):
        raise SignatureError(
            "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records."
        )


def check_signature(
    credentials: Credentials,
    environ: Mapping[str, Any],
    authorization: Authorization,
    body: bytes,
    *,
    now: datetime,
) -> None:
    """Check that the request with this body was signed with the key pair, within the last minutes.

    Raises:
        SignatureError: when the signature does not match, or is old.
    """
    _check_time(environ.get("HTTP_X_AMZ_DATE", ""), authorization.date, now)
    amazon = {name[5:].replace("_", "-").lower() for name in environ if name.startswith("HTTP_X_AMZ_")}
    if ({"host"} | amazon) - set(authorization.signed_headers):
        raise _no_match()
    body_hash = hashlib.sha256(body).hexdigest()
    declared = str(environ.get("HTTP_X_AMZ_CONTENT_SHA256", body_hash))
    if declared != body_hash and not (authorization.service == "s3" and declared.startswith(UNSIGNED_BODIES)):
        raise SignatureError(
            "XAmzContentSHA256Mismatch",
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
        )
    signer = (_S3Signer if authorization.service == "s3" else _Signer)(
        credentials, authorization.service, authorization.region, body_hash
    )
    expected = signer.signature_of(_as_sent(environ, authorization.signed_headers))
    if not hmac.compare_digest(expected, authorization.signature):
        raise _no_match()


def signed_headers(
    credentials: Credentials, method: str, url: str, body: bytes, *, service: str = ADMIN_SERVICE
) -> dict[str, str]:
    """Return the headers that sign a request; no two are the same."""
    request = AWSRequest(method=method, url=url, data=body, headers={"X-Amz-Nonce": secrets.token_hex(16)})
    pair = BotoCredentials(credentials.access_key, credentials.secret_key)
    SigV4Auth(pair, service, REGION).add_auth(request)
    return dict(request.headers)


def proof(credentials: Credentials, authorization: str, body: bytes) -> str:
    """Return the proof that a response to the request comes from a server with the key pair."""
    message = authorization.encode() + b"\n" + body
    return hmac.digest(credentials.secret_key.encode(), message, "sha256").hex()


def _check_time(timestamp: str, date: str, now: datetime) -> None:
    try:
        signed = datetime.strptime(timestamp, TIMESTAMP).replace(tzinfo=UTC)
    except ValueError:
        raise SignatureError("AccessDenied", "AWS authentication requires a valid X-Amz-Date.") from None
    if not timestamp.startswith(date):
        raise _no_match()
    if abs(now - signed) > MAX_AGE:
        raise SignatureError(
            "RequestTimeTooSkewed",
            "The difference between the request time and the current time is too large.",
        )


def _no_match() -> SignatureError:
    return SignatureError(
        "SignatureDoesNotMatch",
        "The request signature we calculated does not match the signature you provided.",
    )


def _as_sent(environ: Mapping[str, Any], signed: tuple[str, ...]) -> AWSRequest:
    """Return the request with the headers that were signed; those that it lacks are empty."""
    path, _, query = str(environ["RAW_URI"]).partition("?")
    headers = {}
    for name in signed:
        key = name.upper().replace("-", "_")
        headers[name] = str(environ.get(key if key.startswith("CONTENT_") else f"HTTP_{key}", ""))
    pairs = (pair.partition("=") for pair in query.split("&") if pair)
    canonical = "&".join(f"{_encoded(name)}={_encoded(value)}" for name, _, value in pairs)
    url = f"http://local{_encoded(path, safe='/')}?{canonical}"
    request = AWSRequest(method=environ["REQUEST_METHOD"], url=url, headers=headers)
    request.context["timestamp"] = environ["HTTP_X_AMZ_DATE"]
    return request


def _encoded(text: str, *, safe: str = "") -> str:
    """Return the text as AWS encodes it in addresses, however the client did."""
    return quote(unquote_to_bytes(text), safe=f"{safe}-_.~")
