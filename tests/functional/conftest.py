"""A local cloud without machines for each test that needs one.

Imported when it is asked for: with it comes moto, under settings that the launcher's tests against moto alone
do without.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dask_bake.local.settings import Settings


@pytest.fixture
def aws() -> Iterator[Any]:
    """boto3's client of EC2, answered by moto in this process."""
    import boto3
    from moto import mock_aws

    with mock_aws():
        yield boto3.client("ec2", region_name="us-east-1")


@pytest.fixture
def settings(tmp_path) -> Settings:
    return Settings(name="test", root=tmp_path / "root")


@pytest.fixture
def serve(settings) -> Callable[..., Any]:
    """Start a local cloud on the images of the previous one, as a restarted server does."""
    from moto.ec2.models import ec2_backends

    from dask_bake.local.storage.image_store import ImageStore
    from fake_local_cloud import DEBIAN, Server

    def start(block: str = "10.9.0.0/20"):
        ec2_backends.reset()
        return Server(settings, block).listening()

    store = ImageStore(settings)
    store.layer("base").mkdir()
    store.save(DEBIAN)
    return start


@pytest.fixture
def cloud(serve) -> Iterator[Any]:
    with serve() as server:
        yield server
