"""Error responses to requests with a missing or invalid signature, in the format of the requested service."""

from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape

from werkzeug.wrappers import Response

from dask_bake.local.query_protocol import error_response
from dask_bake.local.signature import SignatureError, read_authorization

EC2_FAILURE = ("AuthFailure", 401, "AWS was not able to validate the provided access credentials")
"""EC2's answer to an unknown key, a wrong signature and a wrong time alike."""
QUERY_CODES = {"InvalidAccessKeyId": "InvalidClientTokenId", "AccessDenied": "MissingAuthenticationToken"}
JSON_CODES = {
    "InvalidAccessKeyId": "UnrecognizedClientException",
    "AccessDenied": "MissingAuthenticationTokenException",
}
FORM = "application/x-www-form-urlencoded"


def refused_signature(environ: Mapping[str, Any], error: SignatureError) -> Response:
    """Return the service's response to a request with that error in its signature."""
    match service_meant(environ):
        case "s3":
            return s3_error(error.code, error.message, status=error.status)
        case "ec2":
            return error_response("ec2", *EC2_FAILURE)
        case "iam" | "sts" as service:
            code = QUERY_CODES.get(error.code, "SignatureDoesNotMatch")
            return error_response(service, code, 403, error.message)
        case service:
            code = JSON_CODES.get(error.code, "InvalidSignatureException")
            return error_response(service, code, 403, error.message)


def service_meant(environ: Mapping[str, Any]) -> str:
    """Return the service that a request names, or else the one that such requests are for."""
    authorization = read_authorization(environ.get("HTTP_AUTHORIZATION", ""))
    if authorization is not None:
        return authorization.service
    if "HTTP_X_AMZ_TARGET" in environ:
        return "json"
    is_query = environ.get("CONTENT_TYPE", "").startswith(FORM) or "Action=" in environ["QUERY_STRING"]
    return "ec2" if is_query else "s3"


def s3_error(code: str, message: str, *, status: int) -> Response:
    """Return an error in S3's XML."""
    body = f"<Error><Code>{escape(code)}</Code><Message>{escape(message)}</Message></Error>"
    return Response(body, status=status, mimetype="application/xml")
