"""Dask preload of the scheduler and of each worker process: AWS credentials that clients forward.

The scheduler keeps what came last, in memory only, and sends it to all worker processes, also to those that
come later. Each hands it to ``dask-bake-credentials.service`` of its node, where the AWS SDKs ask for it.
Messages of streams are used, because Dask logs none of them, whatever its log level is.
"""

import asyncio
import json
import logging
import os
import re
import socket
from typing import Any

from distributed import Scheduler
from distributed.diagnostics.plugin import SchedulerPlugin
from tornado.ioloop import PeriodicCallback

OPERATION = "dask_bake_credentials"
SOCKET = "/run/dask-bake/credentials.sock"
ENVIRONMENT = {
    "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:786/credentials",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "/run/dask-bake/credentials-token",
}
"""What user-data sets, unless the launch gave the tasks no credentials."""
KEYS = {"AccessKeyId", "SecretAccessKey", "Token", "Expiration"}
TIMEOUT = 5.0
INTERVAL = 15_000
"""Milliseconds after which credentials are handed over again: a service that was restarted has none."""
REFUSED = re.compile(
    "NoCredentials|Unable to locate credentials|ACCESS_DENIED|AccessDenied|Access Denied"
    r"|PermissionError\('Forbidden'\)"
)
"""Errors of tasks that botocore, s3fs and pyarrow raise without credentials."""
NONE_HERE = (
    "Tasks of this cluster have no AWS credentials (--credentials none). Launch it with --credentials profile"
    " or forward, or send yours with dask_bake.api.connect(credentials='forward')."
)

logger = logging.getLogger("distributed.dask_bake")


def dask_setup(server: Any) -> None:
    """Take credentials: as the scheduler from clients, as a worker process from the scheduler."""
    if isinstance(server, Scheduler):
        source = os.environ.get("DASK_BAKE_CREDENTIALS", "none")
        server.add_plugin(Forwarding(server, source), name="dask-bake-credentials")
    else:
        server.stream_handlers[OPERATION] = Holder().take
        # A worker process without this preload would end by a message that it does not know.
        server.startup_information[OPERATION] = lambda _: True


def hand_over(credentials: dict[str, str]) -> None:
    """Give credentials to the node's service.

    Raises:
        OSError: if it does not take them.
    """
    body = json.dumps(credentials).encode()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(TIMEOUT)
        connection.connect(SOCKET)
        connection.sendall(b"PUT /credentials HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        answer = connection.recv(4096).decode("latin-1")
    if answer.split(" ")[1:2] != ["200"]:
        raise OSError("the service refused them")


class Holder:
    """The credentials that a process holds for its node, and hands over again and again."""

    def __init__(self) -> None:
        self._credentials: dict[str, str] = {}
        self._again = PeriodicCallback(self._hand_over_again, INTERVAL)

    def take(self, credentials: dict[str, str]) -> None:
        """Hand the credentials over before this process runs the tasks that were sent after them."""
        self._credentials = credentials
        for name, value in ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        self._try()
        if not self._again.is_running():
            self._again.start()

    async def _hand_over_again(self) -> None:
        await asyncio.to_thread(self._try)

    def _try(self) -> None:
        try:
            hand_over(self._credentials)
        except OSError as error:
            logger.warning("AWS credentials could not be given to this node's service: %s", error)


class Forwarding(SchedulerPlugin):
    """The scheduler's part: it takes credentials from clients, and says once that tasks have none."""

    def __init__(self, scheduler: Any, source: str) -> None:
        self._scheduler = scheduler
        self._source = source
        self._credentials: dict[str, str] = {}
        self._holder = Holder()
        self._has_warned = False
        scheduler.stream_handlers[OPERATION] = self.take
        scheduler.handlers[OPERATION] = self.state

    def state(self) -> dict[str, str]:
        """Return the source of the tasks' credentials, and when those that were forwarded expire."""
        return {"source": self._source, "expiration": self._credentials.get("Expiration", "")}

    def take(self, credentials: Any, **_: Any) -> None:
        """Take a client's credentials, unless the tasks use those of the instance profile."""
        is_known = isinstance(credentials, dict) and set(credentials) == KEYS
        if (
            self._source == "profile"
            or not is_known
            or not all(isinstance(each, str) for each in credentials.values())
        ):
            return
        self._credentials = credentials
        self._holder.take(credentials)  # for notebooks on the head
        for worker in list(self._scheduler.workers):
            self._send(worker)

    def add_worker(self, scheduler: Any, worker: str) -> None:  # noqa: ARG002
        """Send what is held to a worker that has come."""
        if self._credentials:
            self._send(worker)

    def _send(self, worker: str) -> None:
        if self._scheduler.workers[worker].extra.get(OPERATION):
            self._scheduler.stream_comms[worker].send({"op": OPERATION, "credentials": self._credentials})

    def add_client(self, scheduler: Any, client: str) -> None:  # noqa: ARG002
        """Warn again if need be: the client has not heard it yet."""
        self._has_warned = False

    def transition(self, key: Any, start: Any, finish: Any, *_: Any, **__: Any) -> None:  # noqa: ARG002
        """Warn all clients when the first task failed because it had no credentials."""
        if finish != "erred" or self._has_warned or self._source != "none" or self._credentials:
            return
        task = self._scheduler.tasks.get(key)
        if task is not None and REFUSED.search(task.exception_text or ""):
            self._has_warned = True
            self._scheduler.log_event("warn", NONE_HERE)
