"""Policies of the nodes' role: what tasks may do with ``--credentials profile``."""

import json
import re
from collections.abc import Collection, Sequence
from enum import StrEnum
from typing import Any

from dask_bake.errors import UsageError
from dask_bake.iam.policy import VERSION

BUCKET = re.compile(r"(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
"""Names of buckets (S3 user guide, bucket naming rules)."""
WILDCARDS = re.compile(r"[*?$\s\x00-\x1f]")
"""Characters of a prefix that would mean something else in a policy."""
READING = ("s3:GetObject",)
WRITING = ("s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload")


class RoleExtra(StrEnum):
    """Something that tasks do, for which the nodes' role needs permissions."""

    S3_READ = "s3-read"
    S3_WRITE = "s3-write"


def role_policy(extras: Collection[RoleExtra], places: Sequence[str]) -> dict[str, Any]:
    """Return a policy that lets tasks read, or also write, what is in these places.

    Args:
        places: buckets, each with a prefix after a ``/`` if not the whole bucket is meant.

    Raises:
        UsageError: if one is no bucket.
    """
    actions = [*READING, *(WRITING if RoleExtra.S3_WRITE in extras else ())]
    statements: list[dict[str, Any]] = []
    for bucket, prefix in map(_place, dict.fromkeys(places)):
        listing: dict[str, Any] = {
            "Effect": "Allow",
            "Action": ["s3:ListBucket"],
            "Resource": [f"arn:aws:s3:::{bucket}"],
        }
        if prefix:
            listing["Condition"] = {"StringLike": {"s3:prefix": [prefix, f"{prefix}/*"]}}
        inside = f"{bucket}/{prefix}/*" if prefix else f"{bucket}/*"
        objects = [f"arn:aws:s3:::{inside}", *([f"arn:aws:s3:::{bucket}/{prefix}"] if prefix else ())]
        statements += [listing, {"Effect": "Allow", "Action": actions, "Resource": objects}]
    return {"Version": VERSION, "Statement": statements}


def render_role_policy(extras: Collection[RoleExtra], places: Sequence[str]) -> str:
    """Return the policy as JSON text."""
    return json.dumps(role_policy(extras, places), indent=2)


def _place(text: str) -> tuple[str, str]:
    """Return the bucket and the prefix in ``BUCKET/PREFIX`` or ``s3://BUCKET/PREFIX``."""
    bucket, _, prefix = text.removeprefix("s3://").partition("/")
    if not BUCKET.fullmatch(bucket):
        raise UsageError(f"{text!r} is not a bucket", hint="for example my-bucket, or my-bucket/folder")
    if WILDCARDS.search(prefix):
        raise UsageError(
            f"{text!r}: a prefix cannot contain wildcards, '$' or white space",
            hint="give a folder: my-bucket/folder",
        )
    return bucket, prefix.strip("/")
