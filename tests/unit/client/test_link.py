"""A link that forwards the caller's AWS credentials, for a cluster object that has no client of its own."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from distributed import LocalCluster

import dask_bake_credentials as node
from dask_bake.client.link import Link
from dask_bake.errors import BakeError
from dask_bake.forwarding import forwarder
from dask_bake.models.credentials import TemporaryCredentials
from dask_bake_pulse import pulse
from fakes import a_cluster
from polling import until
from unix_forward import ForwardedTunnel


@pytest.fixture
def scheduler(monkeypatch):
    """A scheduler with the image's preload; it hands credentials over to nobody."""
    monkeypatch.setattr(node, "hand_over", lambda _: None)
    monkeypatch.setenv("DASK_BAKE_CREDENTIALS", "forward")
    with LocalCluster(
        n_workers=0,
        processes=False,
        protocol="tcp://",
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        scheduler_kwargs={"preload": [node.__name__]},
    ) as cluster:
        yield cluster.scheduler


def credentials(number, seconds):
    return TemporaryCredentials(
        f"key-{number}", "secret", "token", datetime.now(UTC) + timedelta(seconds=seconds)
    )


def held(scheduler):
    """Return the access key that the scheduler has."""
    return scheduler.plugins["dask-bake-credentials"]._credentials.get("AccessKeyId")


def link_to(scheduler, get):
    tunnel = ForwardedTunnel(int(scheduler.address.rpartition(":")[2]), 1)
    return Link(a_cluster(), {}, tunnel.opened, get)


def test_credentials_are_renewed_until_it_is_closed_and_the_cluster_counts_as_idle(scheduler, monkeypatch):
    """Its client is none of a user's, so the idle time-out goes on."""
    monkeypatch.setattr(forwarder, "SHORTEST_INTERVAL", 0.05)
    numbers = iter(range(1000))
    link = link_to(scheduler, lambda: credentials(next(numbers), 0.2))
    try:
        link.forward()
        until(lambda: held(scheduler) not in (None, "key-0"), timeout=60)
        assert len(scheduler.clients) >= 1
        assert pulse(scheduler)["clients"] == 0
    finally:
        link.close()

    assert all("credentials" not in thread.name for thread in threading.enumerate())
    last = held(scheduler)
    assert last == f"key-{next(numbers) - 1}"


def test_what_prevents_it_is_a_warning(scheduler):
    def refuse():
        raise BakeError("the token has expired")

    link = link_to(scheduler, refuse)
    try:
        with pytest.warns(UserWarning, match="do not get your AWS credentials: the token has expired"):
            link.forward()
    finally:
        link.close()
    assert held(scheduler) is None


def test_without_a_source_nothing_is_sent(scheduler):
    link = link_to(scheduler, None)
    link.forward()
    link.close()

    assert held(scheduler) is None
