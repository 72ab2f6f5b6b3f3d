"""The sample data is loaded into S3 at the first request."""

from threading import Thread

import boto3
import pytest
from moto import mock_aws

from dask_bake.local.samples.s3 import BUCKET, SampleLoader, file_names


@pytest.fixture
def directory(tmp_path):
    """Return a folder with twelve small files."""
    for name in file_names():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path


def test_every_sample_file_is_public_at_its_key_after_any_number_of_requests(directory):
    with mock_aws():
        load = SampleLoader(directory)
        threads = [Thread(target=load) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        s3 = boto3.client("s3")
        keys = [entry["Key"] for entry in s3.list_objects_v2(Bucket=BUCKET)["Contents"]]
        first = s3.get_object(Bucket=BUCKET, Key=keys[0])["Body"].read()
        grants = s3.get_object_acl(Bucket=BUCKET, Key=keys[0])["Grants"]

    assert keys == list(file_names())
    assert first == keys[0].encode()
    assert "http://acs.amazonaws.com/groups/global/AllUsers" in [
        grant["Grantee"].get("URI") for grant in grants
    ]
