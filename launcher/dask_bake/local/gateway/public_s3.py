"""Requests to S3 without a signature: anybody may read what is public, and nothing else.

"Anybody" is this machine and the instances, as nobody else reaches the endpoint.
"""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from werkzeug.wrappers import Request as HttpRequest

IsPublic = Callable[[str, str], bool]
"""Return whether an object is public, by bucket and key; with an empty key, whether a bucket is."""
OF_OBJECTS = frozenset({"partNumber", "x-id"})
OF_LISTS = frozenset(
    {
        "continuation-token",
        "delimiter",
        "encoding-type",
        "fetch-owner",
        "list-type",
        "marker",
        "max-keys",
        "prefix",
        "start-after",
        "x-id",
    }
)
"""Parameters that select no other resource of a bucket, such as its policy."""
KEPT_HEADERS = ("HTTP_RANGE", "HTTP_IF_", "HTTP_HOST")


def is_allowed(environ: Mapping[str, Any], is_public: IsPublic) -> bool:
    """Return whether an unsigned request reads what is public."""
    if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
        return False
    bucket, _, key = HttpRequest(dict(environ)).path.removeprefix("/").partition("/")
    names = {name for name, _ in parse_qsl(environ["QUERY_STRING"], keep_blank_values=True)}
    return bool(bucket) and names <= (OF_OBJECTS if key else OF_LISTS) and is_public(bucket, key)


def as_anonymous(environ: Mapping[str, Any]) -> dict[str, Any]:
    """Return the request without a body, and with those headers alone that select what is read."""
    kept = {
        name: value
        for name, value in environ.items()
        if not name.startswith(("HTTP_", "CONTENT_")) or name.startswith(KEPT_HEADERS)
    }
    return {**kept, "CONTENT_LENGTH": "0"}
