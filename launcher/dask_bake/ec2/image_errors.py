"""What EC2 says when it refuses something with an image, as sentences with a way out."""

from collections.abc import Iterator
from contextlib import contextmanager

from dask_bake.ec2.errors import code_of, translated
from dask_bake.errors import BakeError, UsageError

QUOTA = frozenset({"ResourceLimitExceeded", "AMILimitExceeded", "AMIQuotaExceeded", "ImageLimitExceeded"})
BUSY = frozenset({"ConcurrentSnapshotLimitExceeded", "PendingSnapshotLimitExceeded", "SnapshotLimitExceeded"})
OWN_KEY = ("EBS default key", "AWS Managed CMK")
"""What EC2's two sentences have in common: the one of snapshots, and the one of images."""


@contextmanager
def image_errors(operation: str) -> Iterator[None]:
    """As ``translated``, with the words for images."""
    try:
        with translated(operation):
            yield
    except BakeError as error:
        better = reworded(code_of(error.__cause__), error.message)
        if better is None:
            raise
        better.may_be_done = error.may_be_done
        raise better from error.__cause__


def reworded(code: str, message: str) -> BakeError | None:
    """The sentence for an error code that only calls for images have; ``None`` for all others."""
    if any(words in message for words in OWN_KEY):
        return BakeError(
            "the image is encrypted with AWS's own key, and such an image cannot be shared",
            hint="bake it with --kms-key and a key of yours, which the other account may use",
        )
    if code in QUOTA:
        return BakeError(
            f"the account has as many images, or copies under way, as its quota allows: {message}",
            hint="dask-bake images prune --keep 2 makes room; Service Quotas, EC2, 'AMIs' has the quota",
        )
    if code in BUSY:
        return BakeError(
            f"the account has as many snapshots, or snapshots under way, as its quota allows: {message}",
            hint="try again when some are done; dask-bake images prune --keep 2 removes old ones",
        )
    if code == "InvalidAMIName.Duplicate":
        return BakeError(
            f"the name is taken by an image that is being made, or is not dask-bake's: {message}",
            hint="aws ec2 describe-images --owners self shows it; then try again",
        )
    if code == "InvalidAMIAttributeItemValue":
        return UsageError(
            f"AWS knows no such account: {message}", hint="an account has a number of 12 digits"
        )
    if code.startswith("InvalidAMIID"):
        return BakeError(f"the image is gone: {message}", hint="dask-bake images lists those that are there")
    return None
