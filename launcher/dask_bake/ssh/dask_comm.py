"""Dask's protocol over a Unix socket: distributed's TCP and TLS comms, at addresses like ``dask-bake:///path``.

distributed finds the backends by their entry points, so that each program of this user can connect to such an
address.
"""

import socket
import ssl
from collections.abc import Callable
from typing import Any

from distributed.comm import registry
from distributed.comm.core import Comm, CommClosedError, Connector, FatalCommClosedError, Listener
from distributed.comm.tcp import MAX_BUFFER_SIZE, TCP, TLS
from tornado.iostream import IOStream

from dask_bake.ssh.tunnel import SCHEME, TLS_SCHEME


class _UnixSocket(socket.socket):
    """A socket that ignores TCP's options, such as its keep-alive, which distributed sets."""

    def setsockopt(self, level: int, *option: Any) -> None:
        if level != socket.SOL_TCP or self.family != socket.AF_UNIX:
            super().setsockopt(level, *option)


class _UnixTlsSocket(ssl.SSLSocket, _UnixSocket):
    """The same with TLS; distributed may use its context for connections by TCP, too."""


class UnixConnector(Connector):
    """Connector to a scheduler behind a Unix socket."""

    scheme = SCHEME

    async def connect(self, address: str, deserialize: bool = True, **arguments: Any) -> Comm:  # noqa: FBT001, FBT002
        """Return a connection to the socket at the path."""
        peer = f"{self.scheme}://{address}"
        stream = IOStream(_UnixSocket(socket.AF_UNIX), max_buffer_size=MAX_BUFFER_SIZE)
        try:
            await stream.connect(address)
            return await self._talk(stream, peer, deserialize=deserialize, **arguments)
        except ssl.SSLError as error:
            raise FatalCommClosedError(f"{peer}: {error}") from error
        except OSError as error:
            raise CommClosedError(f"{peer}: {error}") from error

    async def _talk(
        self,
        stream: IOStream,
        peer: str,
        *,
        deserialize: bool,
        require_encryption: bool = False,
        **_arguments: Any,
    ) -> Comm:
        if require_encryption:
            stream.close()
            raise RuntimeError(f"the connection has to be encrypted, and {peer} is not")
        return TCP(stream, peer, peer, deserialize)


class UnixTlsConnector(UnixConnector):
    """Connector with TLS."""

    scheme = TLS_SCHEME

    async def _talk(
        self,
        stream: IOStream,
        peer: str,
        *,
        deserialize: bool,
        ssl_context: ssl.SSLContext | None = None,
        **_arguments: Any,
    ) -> Comm:
        if ssl_context is None:
            stream.close()
            raise TypeError(f"{peer} needs certificates")
        ssl_context.sslsocket_class = _UnixTlsSocket
        secured = await stream.start_tls(server_side=False, ssl_options=ssl_context)
        return TLS(secured, peer, peer, deserialize)


class UnixBackend(registry.Backend):
    """Backend for clients: it connects, and does not listen."""

    connector: Callable[[], Connector] = UnixConnector

    def get_connector(self) -> Connector:
        """Return a connector."""
        return self.connector()

    def get_listener(self, loc: str, *_arguments: Any, **_options: Any) -> Listener:
        """Refuse to listen: the socket is ssh's."""
        raise NotImplementedError(f"nothing but ssh can listen at {loc}")

    def get_address_host(self, loc: str) -> str:
        """Return the path in place of a host."""
        return loc

    def resolve_address(self, loc: str) -> str:
        """Return the path as it is."""
        return loc

    def get_local_address_for(self, loc: str) -> str:
        """Return the path as it is."""
        return loc


class UnixTlsBackend(UnixBackend):
    """Backend with TLS."""

    connector = UnixTlsConnector


def register() -> None:
    """Register the backends, for a dask-bake that is not installed."""
    registry.backends.setdefault(SCHEME, UnixBackend())
    registry.backends.setdefault(TLS_SCHEME, UnixTlsBackend())
