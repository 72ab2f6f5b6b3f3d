"""The sample data sets in the local cloud's S3, put there when somebody first asks for them."""

import threading
from pathlib import Path

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.s3.models import get_canned_acl, s3_backends

from dask_bake.local.samples import sample_data

BUCKET = "dask-data"


class SampleLoader:
    """Called before each request for the bucket; the first one makes the files and puts them in."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._done = False

    def __call__(self) -> None:
        """Return when the data is there."""
        with self._lock:
            if not self._done:
                self._load()
                self._done = True

    def _load(self) -> None:
        backend = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
        if BUCKET not in backend.buckets:
            backend.create_bucket(BUCKET, "us-east-1")
        for key, path in zip(sample_data.file_names(), sample_data.ensure(self._directory), strict=True):
            stored = backend.put_object(BUCKET, key, path.read_bytes())
            stored.set_acl(get_canned_acl("public-read"))
