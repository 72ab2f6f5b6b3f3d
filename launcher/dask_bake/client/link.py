"""The connection of a Python process to a cluster's head: scheduler and dashboard through one SSH tunnel."""

import secrets
import threading
import warnings
import weakref
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field

from distributed.security import Security
from distributed.utils import format_dashboard_link

from dask_bake.errors import BakeError
from dask_bake.forwarding.scheduler import short_client, start_forwarding
from dask_bake.models.cluster import DASHBOARD_PORT, SCHEDULER_PORT, Cluster
from dask_bake.models.credentials import TemporaryCredentials
from dask_bake.ssh.command import Forward
from dask_bake.ssh.dask_comm import register
from dask_bake.ssh.tunnel import Tunnel, dask_address, private_socket
from dask_bake.ssh.web_port import PARAMETER, WebPort
from dask_bake.system.text import printable

KEEP_INTERVAL = 1.0
"""Seconds between looks at ssh, which is started again when it has ended."""

OpenTunnel = Callable[[tuple[Forward, ...]], Tunnel]


class Link:
    """An open tunnel, kept open by a thread until it is closed; if nobody does, until the interpreter exits.

    Args:
        cluster: as it was when the link was opened.
        tls: paths of TLS files by Dask's parameter names; empty without TLS.
        open_tunnel: opens the tunnel, or raises.
        caller_credentials: returns the caller's AWS credentials, to be forwarded.
    """

    def __init__(
        self,
        cluster: Cluster,
        tls: Mapping[str, str],
        open_tunnel: OpenTunnel,
        caller_credentials: Callable[[], TemporaryCredentials] | None = None,
    ) -> None:
        self.cluster = cluster
        self._tls = tls
        self._before_end: tuple[Callable[[], object], ...] = ()
        self.caller_credentials = caller_credentials
        # The user's configuration of Dask is about other clusters.
        self.security = Security(require_encryption=bool(tls), **tls)  # type: ignore[no-untyped-call]
        self.scheduler_socket = private_socket(SCHEDULER_PORT)
        self.address = dask_address(self.scheduler_socket, tls=bool(tls))
        scheduler = Forward(self.scheduler_socket, SCHEDULER_PORT)
        dashboard = Forward(private_socket(DASHBOARD_PORT), DASHBOARD_PORT)
        keeper = _Keeper()
        # ssh ends with the thread that has started it.
        thread = threading.Thread(
            target=keeper.keep,
            args=(open_tunnel, (scheduler, dashboard)),
            name="dask-bake tunnel",
            daemon=True,
        )
        with ExitStack() as on_failure:
            on_failure.callback(keeper.ended.set)
            thread.start()
            keeper.wait_until_opened()
            register()
            self._token = secrets.token_urlsafe(16)
            self._web = WebPort(dashboard, preferred=0, token=self._token)
            on_failure.pop_all()
        self._finalizer = weakref.finalize(self, _finish, keeper, thread, self._web)

    @property
    def dashboard_link(self) -> str:
        """The dashboard's address on this machine, with the token that opens it."""
        page = str(format_dashboard_link("127.0.0.1", self._web.port))  # type: ignore[no-untyped-call]
        return f"{page}{'&' if '?' in page else '?'}{PARAMETER}={self._token}"

    def forward(self) -> None:
        """Forward the caller's AWS credentials until the link is closed; what prevents it is a warning."""
        if self.caller_credentials is None:
            return
        try:
            with ExitStack() as on_failure:
                client = on_failure.enter_context(short_client(self.address, self._tls))
                forwarder = start_forwarding(client, self.caller_credentials, _warn)
                on_failure.callback(forwarder.stop)
                self.on_close(on_failure.pop_all().close)
        except BakeError as error:
            _warn(f"Tasks do not get your AWS credentials: {error.message}")

    def on_close(self, call: Callable[[], None]) -> None:
        """Have this called once when the link is closed, or not used any more, while SSH is connected."""
        self._before_end = (*self._before_end, weakref.finalize(self, call))

    def close(self) -> None:
        """End the SSH connection; a second call does nothing."""
        for call in self._before_end:
            call()
        self._finalizer()


@dataclass
class _Keeper:
    """The work of the thread that owns ssh."""

    opened: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)
    error: BaseException | None = None

    def keep(self, open_tunnel: OpenTunnel, forwards: tuple[Forward, ...]) -> None:
        """Open the tunnel, and keep it open until the link is closed."""
        try:
            tunnel = open_tunnel(forwards)
        except BaseException as error:
            self.error = error
            return
        finally:
            self.opened.set()
        with tunnel:
            while not self.ended.wait(KEEP_INTERVAL):
                with suppress(BakeError):  # tried again
                    tunnel.advance()

    def wait_until_opened(self) -> None:
        """Wait for the tunnel, or raise the error that opening it raised."""
        while not self.opened.wait(1.0):  # with a time-out, or a signal would wait for the lock
            pass
        if self.error is not None:
            raise self.error


def _warn(sentence: str) -> None:
    warnings.warn(printable(sentence), stacklevel=2)


def _finish(keeper: _Keeper, thread: threading.Thread, web: WebPort) -> None:
    keeper.ended.set()
    thread.join()
    web.__exit__(None, None, None)
