"""Sample data in the local cloud's S3: a year of New York's taxi rides, made from a fixed seed."""

import os
import threading
from contextlib import suppress
from pathlib import Path

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.s3.models import get_canned_acl, s3_backends

from dask_bake.errors import BakeError

BUCKET = "dask-data"
RIDES_A_DAY = 3000
"""The real city has about 400 000; this is a million rows, and 130 MB, in the year."""


class SampleLoader:
    """Puts the files into the bucket when first called; to be called before each request for them."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._done = False

    def __call__(self) -> None:
        """Return when the data is in the bucket."""
        with self._lock:
            if not self._done:
                self._load()
                self._done = True

    def _load(self) -> None:
        backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
        if BUCKET not in backend.buckets:
            backend.create_bucket(BUCKET, "us-east-1")
        backend.put_bucket_acl(BUCKET, get_canned_acl("public-read"))
        for key, path in zip(file_names(), ensure_files(self._directory), strict=True):
            stored = backend.put_object(BUCKET, key, path.read_bytes())
            stored.set_acl(get_canned_acl("public-read"))


def file_names() -> tuple[str, ...]:
    """Return the keys of the twelve files in the bucket, in order of month."""
    return tuple(f"nyc-taxi/2015/yellow_tripdata_2015-{month:02}.csv" for month in range(1, 13))


def ensure_files(directory: Path, *, rides_a_day: int = RIDES_A_DAY) -> tuple[Path, ...]:
    """Return the twelve files below the directory, each at its key; write those that are missing."""
    paths = tuple(directory / name for name in file_names())
    for month, path in enumerate(paths, start=1):
        if not path.exists():
            write_month(month, path, rides_a_day=rides_a_day)
    return paths


def write_month(month: int, path: Path, *, rides_a_day: int = RIDES_A_DAY) -> None:
    """Write one month to the path, atomically."""
    # Numpy comes with dask-bake[local], and costs a tenth of a second that only a first start needs to spend.
    from dask_bake.local.samples.taxi_rides import month_as_text

    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_text(month_as_text(month, rides_a_day=rides_a_day), encoding="ascii", newline="\n")
        unfinished.replace(path)
    except OSError as error:
        raise BakeError(
            f"cannot write the sample data {path}: {error.strerror}",
            hint="it needs 130 MB in a folder that the local cloud may write to",
        ) from error
    finally:
        with suppress(OSError):
            unfinished.unlink()
