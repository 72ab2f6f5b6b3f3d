"""Sending of credentials, and of new ones before they expire."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from dask_bake.errors import BakeError
from dask_bake.models.credentials import TemporaryCredentials

RESEND_INTERVAL = 60.0
"""Seconds after which the same credentials are sent again: a scheduler that was started again has none."""
RETRY_INTERVAL = 15.0
SHORTEST_INTERVAL = 1.0


class Forwarder:
    """Sends the caller's credentials to a cluster until it is stopped, from a thread of its own.

    Args:
        get: returns credentials that expire.
        send: sends them to the cluster.
        warn: is called with a sentence when they cannot be renewed.
        is_over: returns whether there is nobody any more to send them to.
    """

    def __init__(
        self,
        get: Callable[[], TemporaryCredentials],
        send: Callable[[TemporaryCredentials], None],
        *,
        warn: Callable[[str], None],
        is_over: Callable[[], bool] = lambda: False,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._get = get
        self._send = send
        self._warn = warn
        self._is_over = is_over
        self._now = now
        self._renewal = self._now()
        self.current: TemporaryCredentials | None = None
        """The credentials that were sent last."""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="dask-bake credentials", daemon=True)

    def start(self) -> None:
        """Send credentials, and keep them valid from now on.

        Raises:
            BakeError: if there are none, or they cannot be sent.
        """
        self.step()
        self._thread.start()

    def stop(self) -> None:
        """Send nothing any more; what was sent is valid until it expires."""
        self._ended.set()
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def step(self) -> float:
        """Send credentials, new ones at half of their lifetime; return the seconds until the next step."""
        if self.current is None or self._now() >= self._renewal:
            self.current = self._get()
            self._renewal = self._now() + (self.current.expires - self._now()) / 2
        self._send(self.current)
        left = (self._renewal - self._now()) / timedelta(seconds=1)
        return min(max(left, SHORTEST_INTERVAL), RESEND_INTERVAL)

    def _keep(self) -> None:
        pause, has_failed = SHORTEST_INTERVAL, False
        while not self._ended.wait(pause) and not self._is_over():
            try:
                pause, has_failed = self.step(), False
            except BakeError as error:
                pause = RETRY_INTERVAL
                if not has_failed and not self._ended.is_set():
                    self._warn(
                        f"The AWS credentials of the cluster's tasks could not be renewed: {error.message}"
                    )
                has_failed = True
