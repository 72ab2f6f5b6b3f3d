"""Credentials go to a scheduler over a Dask client's own connection, if the scheduler takes any."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from distributed import Client, LocalCluster

import dask_bake_credentials as node
from dask_bake.errors import BakeError, UsageError
from dask_bake.forwarding import scheduler
from dask_bake.forwarding.scheduler import check_cluster, send, short_client, start_forwarding
from dask_bake.models.credentials import TemporaryCredentials
from dask_bake.models.tags import Tag
from fakes import a_cluster, a_plan

CREDENTIALS = TemporaryCredentials("key", "secret", "token", datetime.now(UTC) + timedelta(hours=1))


@pytest.fixture
def there(monkeypatch):
    """Start a scheduler with the image's preload, or without; what it hands over is recorded."""
    taken, clusters = [], []
    monkeypatch.setattr(node, "hand_over", taken.append)

    def start(source="forward", *, preload=True):
        monkeypatch.setenv("DASK_BAKE_CREDENTIALS", source)
        cluster = LocalCluster(
            n_workers=0,
            processes=False,
            protocol="tcp://",
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            scheduler_kwargs={"preload": [node.__name__] if preload else []},
        )
        clusters.append(cluster)
        return cluster, taken

    yield start
    for cluster in clusters:
        cluster.close()


def test_a_client_forwards_until_it_is_stopped(there):
    cluster, taken = there()
    with short_client(cluster.scheduler_address, {}) as client:
        sending = start_forwarding(client, lambda: CREDENTIALS, lambda _: None)
        sending.stop()

    assert taken[0] == CREDENTIALS.document


@pytest.mark.parametrize(
    ("source", "preload", "message"),
    [
        ("profile", True, "the cluster takes no credentials: it is launched with --credentials profile"),
        ("none", False, "the cluster takes no credentials: it is of an older image"),
    ],
)
def test_a_scheduler_that_takes_none_gets_none_and_stays_connected(there, source, preload, message):
    cluster, taken = there(source, preload=preload)
    with Client(cluster.scheduler_address, set_as_default=False) as client:
        with pytest.raises(UsageError) as caught:
            start_forwarding(client, lambda: CREDENTIALS, lambda _: None)
        assert client.scheduler_info()["type"] == "Scheduler"

    assert (caught.value.message, taken) == (message, [])


def test_a_scheduler_that_does_not_take_them_in_time_is_an_error(there, monkeypatch):
    monkeypatch.setattr(scheduler, "ARRIVAL_TIMEOUT", 0.0)
    monkeypatch.setattr(node.Forwarding, "take", lambda *_, **__: None)
    cluster, _ = there()
    with (
        short_client(cluster.scheduler_address, {}) as client,
        pytest.raises(BakeError, match="the scheduler did not take the credentials"),
    ):
        start_forwarding(client, lambda: CREDENTIALS, lambda _: None)


def test_a_scheduler_that_is_gone_is_a_sentence(there):
    cluster, _ = there()
    with short_client(cluster.scheduler_address, {}) as client:
        pass
    with pytest.raises(BakeError, match="the client is closed"):
        send(client, CREDENTIALS)


def test_a_cluster_with_a_profile_or_without_dask_takes_none():
    cluster = a_cluster()
    profile = tuple(replace(each, tags=(*each.tags, (Tag.CREDENTIALS, "profile"))) for each in cluster.nodes)
    check_cluster(cluster)
    with pytest.raises(UsageError, match="use the credentials of its instance profile"):
        check_cluster(replace(cluster, nodes=profile))
    with pytest.raises(UsageError, match="--no-dask"):
        check_cluster(a_cluster(a_plan(dask=False)))
