"""STS: who the caller is, and session credentials for it."""

from collections.abc import Mapping
from datetime import timedelta

from werkzeug.wrappers import Response

from dask_bake.local.iam.sessions import Sessions
from dask_bake.local.moto.models import DEFAULT_ACCOUNT_ID
from dask_bake.local.query_protocol import Content, error_response, items

NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"
SHORTEST, LONGEST = 900, 3600
"""Seconds of a session of the root user (API reference, GetSessionToken)."""


def caller_identity() -> Response:
    """Return the response to GetCallerIdentity: the key pair is that of the account's root user."""
    account = DEFAULT_ACCOUNT_ID
    return _response(
        "GetCallerIdentity", {"Arn": f"arn:aws:iam::{account}:root", "UserId": account, "Account": account}
    )


def session_token(sessions: Sessions, parameters: Mapping[str, str]) -> Response:
    """Return the response to GetSessionToken."""
    seconds = parameters.get("DurationSeconds", str(LONGEST))
    if not (seconds.isascii() and seconds.isdecimal() and SHORTEST <= int(seconds) <= 129_600):
        message = f"Value '{seconds}' at 'durationSeconds' failed to satisfy constraint."
        return error_response("sts", "ValidationError", 400, message)
    document = sessions.start(timedelta(seconds=min(int(seconds), LONGEST))).document
    credentials = {
        "AccessKeyId": document["AccessKeyId"],
        "SecretAccessKey": document["SecretAccessKey"],
        "SessionToken": document["Token"],
        "Expiration": document["Expiration"],
    }
    return _response("GetSessionToken", {"Credentials": credentials})


def _response(action: str, result: Mapping[str, Content]) -> Response:
    body = (
        f'<{action}Response xmlns="{NAMESPACE}"><{action}Result>{items(result)}</{action}Result>'
        f"<ResponseMetadata><RequestId>local</RequestId></ResponseMetadata></{action}Response>"
    )
    return Response(body, mimetype="text/xml")
