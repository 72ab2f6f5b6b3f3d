"""``launch()``, ``down()`` and dask-ctl's discovery, in a local cloud without machines."""

import asyncio

import pytest

import dask_bake
from dask_bake.client.cluster import BakeCluster, discover
from dask_bake.errors import BakeError, NoClusterError
from dask_bake.options.launch import LaunchOptions
from moto_launches import answering_cloud, baked, everything, launch


@pytest.fixture
def launched(aws, monkeypatch):
    """A cluster named mine, of the same caller."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    baked(aws)
    with answering_cloud() as cloud:
        assert launch(cloud, LaunchOptions(name="mine", count=3, nprocs=2)) == 0
        yield aws


def found() -> list[tuple[str, type]]:
    async def collect():
        return [each async for each in discover()]

    return asyncio.run(collect())


def test_a_cluster_is_discovered_and_ended_by_name(launched, capsys):
    assert found() == [("mine", BakeCluster)]

    ended = dask_bake.down("mine")
    assert (ended.name, len(ended.nodes)) == ("mine", 3)
    assert everything(launched) == []
    assert "taking down" in capsys.readouterr().err
    assert found() == []
    with pytest.raises(NoClusterError, match=r"^there is no cluster named mine in aws us-east-1\nHint: "):
        dask_bake.down("mine", quiet=True)


def test_where_no_cloud_is_configured_nothing_is_discovered(monkeypatch):
    monkeypatch.setenv("DASK_BAKE_CLOUD", "local")
    assert found() == []


def test_a_launch_that_fails_says_what_helps_and_prints_nothing_else(aws, capsys):
    with pytest.raises(
        BakeError, match=r"^cannot get this machine's address from .*\nHint: SSH is opened to"
    ):
        dask_bake.launch(name="mine", count=3, cloud="aws", quiet=True)
    assert everything(aws) == []
    assert capsys.readouterr() == ("", "")


def test_a_name_that_does_not_exist_is_refused_by_each_with_its_hint(aws):
    for call in (BakeCluster.from_name, dask_bake.connect, dask_bake.down):
        with pytest.raises(
            NoClusterError, match=r"^there is no cluster named mine in aws us-east-1\nHint: .+"
        ):
            call(
                "mine",
                cloud="aws",
                region="us-east-1",
                **({"quiet": True} if call is not dask_bake.connect else {}),
            )
