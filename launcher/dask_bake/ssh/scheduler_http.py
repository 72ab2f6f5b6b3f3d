"""The scheduler's JSON documents over HTTP, with limits: any task can answer in the scheduler's place."""

import http.client
import io
import json
import socket
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any

from dask_bake.errors import BakeError

REQUEST_TIMEOUT = 5.0
"""Seconds for one whole response."""
RESPONSE_LIMIT = 8_000_000
"""Bytes of a response; a worker process takes one to two thousand."""
MOST_WORKERS = 2**31


def get_json(
    connection: socket.socket, path: str, seconds: float = REQUEST_TIMEOUT
) -> Mapping[str, Any] | None:
    """Return the JSON object at the path; ``None`` without a complete response in time.

    Raises:
        BakeError: if the response is too large, or no JSON object.
    """
    try:
        # After a response to HTTP/1.0 the server closes the connection.
        connection.settimeout(seconds)
        connection.sendall(f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n".encode())
        received = _receive(connection, path, time.monotonic() + seconds)
        response = http.client.HTTPResponse(_Received(received))  # type: ignore[arg-type]
        response.begin()
        body = response.read()
    except (OSError, http.client.HTTPException, OverflowError, ValueError):  # http.client lets some through
        return None
    if response.status != 200:
        return None
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise unusable(path, "it is not JSON") from error
    if not isinstance(document, dict):
        raise unusable(path, "it is no object")
    return document


def worker_count(counts: Mapping[str, Any]) -> int:
    """Return the number of worker processes in the scheduler's document of counts."""
    count = counts.get("workers")
    if type(count) is not int or not 0 <= count < MOST_WORKERS:
        raise unusable("/json/counts.json", "it has no number of workers")
    return count


def workers_per_host(identity: Mapping[str, Any]) -> Mapping[str, int]:
    """Count the worker processes of each host in the scheduler's identity document."""
    workers = identity.get("workers")
    if not isinstance(workers, dict):
        raise unusable("/json/identity.json", "it has no workers")
    return Counter(_host(worker) for worker in workers.values())


def _host(worker: object) -> str:
    host = worker.get("host") if isinstance(worker, dict) else None
    if not isinstance(host, str):
        raise unusable("/json/identity.json", "it has a worker without a host")
    return host


def unusable(path: str, why: str) -> BakeError:
    """Return the error for a response that cannot be used."""
    return BakeError(
        f"the scheduler's answer to {path} cannot be used: {why}",
        hint="a task may have replaced the scheduler; `dask-bake down` ends the cluster without asking it",
    )


def _receive(connection: socket.socket, path: str, deadline: float) -> bytes:
    received = bytearray()
    while (left := deadline - time.monotonic()) > 0:
        connection.settimeout(left)
        part = connection.recv(65536)
        if not part:
            return bytes(received)
        received += part
        if len(received) > RESPONSE_LIMIT:
            raise unusable(path, f"it has more than {RESPONSE_LIMIT // 1_000_000} MB")
    raise TimeoutError


@dataclass(frozen=True)
class _Received:
    """The socket of a response that was received; ``HTTPResponse`` only reads its file."""

    content: bytes

    def makefile(self, _mode: str) -> IO[bytes]:
        """Return a file of the content."""
        return io.BytesIO(self.content)
