"""Sending of credentials to a scheduler, over the connection of a Dask client."""

import asyncio
import time
import warnings
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from dask_bake.errors import BakeError, UsageError
from dask_bake.forwarding.forwarder import Forwarder
from dask_bake.models.cloud import CredentialSource
from dask_bake.models.cluster import Cluster
from dask_bake.models.credentials import MOMENT, TemporaryCredentials
from dask_bake.ssh.dask_comm import register
from dask_bake.system.text import printable

OPERATION = "dask_bake_credentials"
NAME = "worker-credentials"
"""The middle of the client's id: the head's watch does not count clients that begin with Client-worker-."""
ARRIVAL_TIMEOUT = 10.0
POLL_INTERVAL = 0.02


def check_cluster(cluster: Cluster) -> None:
    """Raise a ``UsageError`` if tasks of the cluster do not take forwarded credentials."""
    if not cluster.has_dask:
        raise UsageError(f"cluster {cluster.name} was launched with --no-dask", hint="launch it with Dask")
    if cluster.credentials is CredentialSource.PROFILE:
        raise UsageError(
            f"the tasks of cluster {cluster.name} use the credentials of its instance profile",
            hint="dask-bake launch --credentials forward lets them use yours",
        )


def send(client: Any, credentials: TemporaryCredentials) -> None:
    """Send credentials by a connected client: as a message of its stream, which Dask never logs.

    Raises:
        BakeError: if the client is closed.
    """
    try:
        client._send_to_scheduler({"op": OPERATION, "credentials": credentials.document})  # noqa: SLF001
    except Exception as error:  # distributed has an error of its own for it
        raise BakeError(f"the client is {client.status}", hint="connect again") from error


def start_forwarding(
    client: Any, get: Callable[[], TemporaryCredentials], warn: Callable[[str], None]
) -> Forwarder:
    """Forward credentials by a client that is connected and not asynchronous, until the caller stops it.

    Args:
        get: returns the caller's credentials.
        warn: is called with a sentence when they cannot be renewed.

    Raises:
        BakeError: if the scheduler does not take them.
    """
    _call(client, check_scheduler)
    found = weakref.ref(client)  # the thread must not keep a client that its owner has forgotten

    def is_over() -> bool:
        there = found()
        return there is None or there.status in ("closing", "closed")

    def send_now(credentials: TemporaryCredentials) -> None:
        if (there := found()) is not None:
            send(there, credentials)

    forwarder = Forwarder(get, send_now, warn=warn, is_over=is_over)
    forwarder.start()
    try:
        _call(client, arrival, forwarder.current)
    except BaseException:
        forwarder.stop()
        raise
    return forwarder


def _call(client: Any, function: Callable[..., Any], *arguments: Any) -> None:
    """Run a coroutine function on the client's event loop; a lost connection is a ``BakeError``."""
    try:
        client.sync(function, client, *arguments)
    except OSError as error:
        raise _no_answer(error) from error


def _no_answer(error: OSError) -> BakeError:
    return BakeError(f"the scheduler does not answer: {printable(str(error))[:200]}", hint="connect again")


async def arrival(client: Any, credentials: TemporaryCredentials) -> None:
    """Wait until the scheduler has the credentials.

    Raises:
        BakeError: if it does not take them.
    """
    deadline = time.monotonic() + ARRIVAL_TIMEOUT
    while (expiration := (await _state(client)).get("expiration")) != credentials.document["Expiration"]:
        if time.monotonic() >= deadline:
            raise BakeError(
                f"the scheduler did not take the credentials within {ARRIVAL_TIMEOUT:.0f} s;"
                f" it has some until {printable(str(expiration or 'never'))[: len(MOMENT) + 5]}",
                hint="connect again",
            )
        await asyncio.sleep(POLL_INTERVAL)


async def check_scheduler(client: Any) -> None:
    """Raise a ``UsageError`` if the scheduler takes none: it would close a stream with such a message."""
    source = (await _state(client)).get("source")
    if source not in (CredentialSource.NONE, CredentialSource.FORWARD):
        launched = f"launched with --credentials {printable(str(source))[:20]}"
        why = "of an older image" if source is None else launched
        raise UsageError(
            f"the cluster takes no credentials: it is {why}",
            hint="dask-bake bake and launch --credentials forward make one that does",
        )


async def _state(client: Any) -> Mapping[str, Any]:
    found = await client.scheduler.dask_bake_credentials()
    return found if isinstance(found, dict) else {}


@contextmanager
def short_client(address: str, tls: Mapping[str, str]) -> Iterator[Any]:
    """Return a Dask client that exists to send credentials: it is no use of the cluster, which stays idle."""
    # Imported on use: it takes most of a second.
    from distributed import Client
    from distributed.security import Security

    register()
    security = Security(require_encryption=bool(tls), **tls)  # type: ignore[no-untyped-call]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # other versions do not matter: it sends no code
        try:
            client = Client(  # type: ignore[no-untyped-call]
                address, name=NAME, security=security, set_as_default=False
            )
        except OSError as error:
            raise _no_answer(error) from error
    try:
        yield client
    finally:
        client.close()  # type: ignore[no-untyped-call]
