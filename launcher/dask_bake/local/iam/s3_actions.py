"""Actions and resources of a request to S3, by which a role's policies permit it.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

from werkzeug.wrappers import Request as HttpRequest

LISTING = frozenset(
    {"continuation-token", "delimiter", "encoding-type", "fetch-owner", "list-type", "marker"}
    | {"max-keys", "prefix", "start-after", "x-id"}
)
READING = frozenset({"partNumber", "x-id"})
OF_BUCKETS = (
    (("GET", "HEAD"), LISTING, "ListBucket"),
    (("GET",), {"location", "x-id"}, "GetBucketLocation"),
    (("PUT",), {"x-id"}, "CreateBucket"),
    (("DELETE",), {"x-id"}, "DeleteBucket"),
)
OF_OBJECTS = (
    (("GET", "HEAD"), READING, "GetObject"),
    (("GET",), {"uploadId", "max-parts", "part-number-marker", "x-id"}, "ListMultipartUploadParts"),
    (("PUT",), {"partNumber", "uploadId", "x-id"}, "PutObject"),
    (("POST",), {"uploads", "uploadId", "x-id"}, "PutObject"),
    (("DELETE",), {"x-id"}, "DeleteObject"),
    (("DELETE",), {"uploadId", "x-id"}, "AbortMultipartUpload"),
)
"""Methods and parameters of each action; with a parameter that is not listed a request is another action."""


@dataclass(frozen=True)
class S3Action:
    """An action on a resource, and the values of its condition keys."""

    name: str
    resource: str
    context: Mapping[str, str] = field(default_factory=dict)


def s3_actions(environ: Mapping[str, Any]) -> tuple[S3Action, ...]:
    """Return all actions that have to be permitted for a request; empty for one that sessions cannot make."""
    method = environ["REQUEST_METHOD"]
    bucket, _, key = HttpRequest(dict(environ)).path.removeprefix("/").partition("/")
    given = dict(parse_qsl(environ["QUERY_STRING"], keep_blank_values=True))
    if not bucket:
        is_list = method == "GET" and set(given) <= {"x-id"}
        return (S3Action("s3:ListAllMyBuckets", "*"),) if is_list else ()
    if not key and method == "POST" and set(given) == {"delete"}:  # the keys are in the body
        return (S3Action("s3:DeleteObject", _arn(bucket, "*")),)
    name = next(
        (
            name
            for methods, names, name in (OF_OBJECTS if key else OF_BUCKETS)
            if method in methods and set(given) <= names
        ),
        None,
    )
    if name is None:
        return ()
    context = {"s3:prefix": given.get("prefix", ""), "s3:delimiter": given.get("delimiter", "")}
    action = S3Action(f"s3:{name}", _arn(bucket, key), context if name == "ListBucket" else {})
    source = unquote(environ.get("HTTP_X_AMZ_COPY_SOURCE", "")).partition("?")[0].removeprefix("/")
    if not source:
        return (action,)
    return action, S3Action("s3:GetObject", _arn(*source.partition("/")[::2]))


def _arn(bucket: str, key: str) -> str:
    return f"arn:aws:s3:::{bucket}/{key}" if key else f"arn:aws:s3:::{bucket}"
