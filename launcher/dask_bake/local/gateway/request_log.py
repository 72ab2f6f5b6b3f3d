"""What was asked of the local cloud, and what came of it: the latest requests, for tests to read."""

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

KEPT = 20_000
LONGEST_VALUE = 256


@dataclass(frozen=True)
class LoggedRequest:
    """A request; ``status`` is None when the connection was dropped, ``code`` the error that was answered."""

    service: str
    action: str
    region: str
    parameters: Mapping[str, str]
    status: int | None
    code: str | None
    faults: tuple[str, ...]


class RequestLog:
    """The latest requests, in the order in which they were answered."""

    def __init__(self) -> None:
        self._requests: deque[LoggedRequest] = deque(maxlen=KEPT)
        self._lock = threading.Lock()

    def add(self, request: LoggedRequest) -> None:
        """Keep a request; of long values, such as user-data, the beginning."""
        with self._lock:
            self._requests.append(request)

    def clear(self) -> None:
        """Forget all requests."""
        with self._lock:
            self._requests.clear()

    def all(self) -> tuple[LoggedRequest, ...]:
        """The requests."""
        with self._lock:
            return tuple(self._requests)

    def as_json(self) -> list[dict[str, Any]]:
        """The requests, as plain data."""
        return [asdict(request) for request in self.all()]


def shortened(parameters: Mapping[str, str]) -> dict[str, str]:
    """Parameters as they are logged: without the request's frame, and long values cut."""
    return {
        name: value if len(value) <= LONGEST_VALUE else f"{value[:LONGEST_VALUE]}…"
        for name, value in parameters.items()
        if name not in ("Action", "Version")
    }
