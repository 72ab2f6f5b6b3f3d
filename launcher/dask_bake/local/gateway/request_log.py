"""The log of the latest requests and their responses, which tests read."""

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

MAX_REQUESTS = 20_000
MAX_LOGGED_LENGTH = 256


@dataclass(frozen=True)
class LoggedRequest:
    """A request; ``status`` is None where the connection was closed, ``code`` is the error's."""

    service: str
    action: str
    region: str
    parameters: Mapping[str, str]
    status: int | None
    code: str | None
    faults: tuple[str, ...]


class RequestLog:
    """The latest requests, in the order of their responses."""

    def __init__(self) -> None:
        self._requests: deque[LoggedRequest] = deque(maxlen=MAX_REQUESTS)
        self._lock = threading.Lock()

    def add(self, request: LoggedRequest) -> None:
        """Add a request."""
        with self._lock:
            self._requests.append(request)

    def clear(self) -> None:
        """Remove all requests."""
        with self._lock:
            self._requests.clear()

    def all(self) -> tuple[LoggedRequest, ...]:
        """Return the requests."""
        with self._lock:
            return tuple(self._requests)

    def as_json(self) -> list[dict[str, Any]]:
        """Return the requests as plain data."""
        return [asdict(request) for request in self.all()]


def shortened(parameters: Mapping[str, str]) -> dict[str, str]:
    """Return a request's parameters without action and version; long values, such as user-data, are cut."""
    return {
        name: value if len(value) <= MAX_LOGGED_LENGTH else f"{value[:MAX_LOGGED_LENGTH]}…"
        for name, value in parameters.items()
        if name not in ("Action", "Version")
    }
