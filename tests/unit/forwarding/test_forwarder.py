"""Credentials are sent, and renewed before they expire."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from dask_bake.errors import BakeError
from dask_bake.forwarding import forwarder
from dask_bake.forwarding.forwarder import RESEND_INTERVAL, Forwarder
from dask_bake.models.credentials import TemporaryCredentials

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


class Cloud:
    """A clock, and credentials that live for some seconds."""

    def __init__(self, lifetime: float) -> None:
        self.now, self.lifetime, self.given = BEGIN, lifetime, 0
        self.sent: list[str] = []

    def get(self) -> TemporaryCredentials:
        self.given += 1
        expires = self.now + timedelta(seconds=self.lifetime)
        return TemporaryCredentials(f"key{self.given}", "secret", "token", expires)

    def send(self, credentials: TemporaryCredentials) -> None:
        self.sent.append(credentials.access_key)


def forwarder_of(cloud: Cloud) -> Forwarder:
    return Forwarder(cloud.get, cloud.send, warn=lambda _: None, now=lambda: cloud.now)


@pytest.mark.parametrize(
    ("lifetime", "pauses"),
    [(20, [10, 10, 10]), (3600, [RESEND_INTERVAL] * 3), (1, [1, 1, 1]), (-5, [1, 1, 1])],
)
def test_new_ones_are_sent_at_half_of_the_lifetime(lifetime, pauses):
    cloud = Cloud(lifetime)
    sending, waited = forwarder_of(cloud), []
    for _ in pauses:
        waited.append(sending.step())
        cloud.now += timedelta(seconds=waited[-1])

    assert waited == pauses
    assert cloud.sent == (["key1"] * 3 if lifetime == 3600 else ["key1", "key2", "key3"])


def test_the_same_are_sent_again_for_a_scheduler_that_has_lost_them():
    cloud = Cloud(3600)
    sending = forwarder_of(cloud)
    for seconds in (0, 60, 1799, 1800, 1860):
        cloud.now = BEGIN + timedelta(seconds=seconds)
        sending.step()

    assert cloud.sent == ["key1", "key1", "key1", "key2", "key2"]


def test_a_renewal_that_fails_is_one_warning_and_is_tried_again(monkeypatch):
    monkeypatch.setattr(forwarder, "SHORTEST_INTERVAL", 0.001)
    monkeypatch.setattr(forwarder, "RETRY_INTERVAL", 0.001)
    warnings, tried, done = [], [], threading.Event()

    def get() -> TemporaryCredentials:
        tried.append(1)
        if 2 <= len(tried) <= 4:
            raise BakeError("STS does not answer")
        if len(tried) > 5:
            done.set()
        return TemporaryCredentials("key", "secret", "token", BEGIN)

    sending = Forwarder(get, lambda _: None, warn=warnings.append, now=lambda: BEGIN)
    sending.start()
    assert done.wait(60)
    sending.stop()

    expected = "The AWS credentials of the cluster's tasks could not be renewed: STS does not answer"
    assert warnings == [expected]


def test_the_first_failure_is_the_caller_s():
    def get() -> TemporaryCredentials:
        raise BakeError("there are no AWS credentials")

    sending = Forwarder(get, lambda _: None, warn=lambda _: None)
    with pytest.raises(BakeError, match="there are no AWS credentials"):
        sending.start()
    sending.stop()


def test_it_ends_with_whoever_it_sends_for(monkeypatch):
    monkeypatch.setattr(forwarder, "SHORTEST_INTERVAL", 0.001)
    cloud, is_over = Cloud(0), threading.Event()
    sending = Forwarder(cloud.get, cloud.send, warn=lambda _: None, is_over=is_over.is_set, now=lambda: BEGIN)
    sending.start()
    is_over.set()
    sending._thread.join(60)

    assert not sending._thread.is_alive()


def test_the_secrets_are_in_no_representation_and_in_the_document():
    credentials = TemporaryCredentials("key", "a-secret", "a-token", BEGIN)

    assert "a-" not in repr(credentials)
    assert credentials.document == {
        "AccessKeyId": "key",
        "SecretAccessKey": "a-secret",
        "Token": "a-token",
        "Expiration": "2026-01-01T00:00:00Z",
    }
