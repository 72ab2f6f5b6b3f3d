"""Public access to moto's S3, by the access control lists of its buckets and objects."""

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends


def is_public(bucket: str, key: str) -> bool:
    """Return whether anybody may read the object, or list the bucket where ``key`` is empty.

    Anybody may also learn that a bucket does not exist, and a key in a bucket that anybody may list.
    """
    backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
    found = backend.buckets.get(bucket)
    if found is None:
        return True
    stored = backend.get_object(bucket, key) if key else None
    acl = (stored or found).acl
    return acl is not None and bool(acl.public_read)
