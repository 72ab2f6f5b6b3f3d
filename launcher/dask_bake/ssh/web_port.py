"""A port of this machine for browsers, forwarded to a private socket; it can ask for a token.

Every user of this machine can connect to a port. This one stays this process's while ssh is restarted.
"""

import html
import socket
import socketserver
import threading
import time
from contextlib import suppress
from email.message import Message
from http.client import parse_headers
from io import BytesIO
from pathlib import Path
from secrets import compare_digest
from types import TracebackType
from typing import Self
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit

from dask_bake.ssh.command import Forward
from dask_bake.ssh.tunnel import connect_to

HEAD_LIMIT = 65536
"""Bytes of a request's head."""
TIMEOUT = 10.0
"""Seconds for a request's head, and for a connection to the socket: any user of this machine can connect."""
PARAMETER = "token"


class WebPort:
    """A server at a port of 127.0.0.1; with a token, only for browsers that have shown it once.

    A link with ``?token=…`` sets a cookie, as JupyterLab's does. After the head of its first request a
    connection is passed on as it is, so that WebSockets work.
    """

    def __init__(self, forward: Forward, *, preferred: int, token: str = "") -> None:
        self.forward = forward
        self.token = token
        try:
            self._server = _Server(("127.0.0.1", preferred), self)
        except OSError:
            self._server = _Server(("127.0.0.1", 0), self)
        self.port = self._server.server_address[1]
        self.cookie = f"dask-bake-{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def is_admitted(self, headers: Message) -> bool:
        """Return whether a request's cookies have the token, or none is needed."""
        cookies = [part.strip() for line in headers.get_all("Cookie", []) for part in line.split(";")]
        return not self.token or any(self._is_token(*each.split("=", 1)) for each in cookies if "=" in each)

    def has_token(self, query: str) -> bool:
        """Return whether a request's query has the token."""
        return any(name == PARAMETER and self._is(value) for name, value in parse_qsl(query))

    def _is_token(self, name: str, value: str) -> bool:
        return name == self.cookie and self._is(value)

    def _is(self, value: str) -> bool:
        return compare_digest(value.encode(errors="replace"), self.token.encode())


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], web_port: WebPort) -> None:
        self.web_port = web_port
        super().__init__(address, _Request)

    def handle_error(self, *_: object) -> None:
        """Ignore a connection that broke."""


class _Request(socketserver.BaseRequestHandler):
    request: socket.socket
    server: _Server

    def handle(self) -> None:
        web_port = self.server.web_port
        self.request.settimeout(TIMEOUT)
        received = self._head()
        line, _, rest = received.partition(b"\r\n")
        headers = parse_headers(BytesIO(rest.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"))
        if web_port.is_admitted(headers):
            self._pass_on(received)
            return
        target = urlsplit(line.decode("latin-1").partition(" ")[2].partition(" ")[0])
        if web_port.has_token(target.query):
            moved = f"Location: {_without_token(target)}\r\nSet-Cookie: {self._new_cookie()}"
            self._answer("302 Found", moved)
        else:
            self._answer("403 Forbidden", text="Open the link that dask-bake printed: it has a token.\n")

    def _head(self) -> bytes:
        received, deadline = b"", time.monotonic() + TIMEOUT
        while b"\r\n\r\n" not in received:
            self.request.settimeout(max(0.001, deadline - time.monotonic()))
            part = self.request.recv(HEAD_LIMIT)
            if not part or len(received) > HEAD_LIMIT:
                raise ConnectionError("no request")
            received += part
        return received

    def _new_cookie(self) -> str:
        web_port = self.server.web_port
        return f"{web_port.cookie}={web_port.token}; Path=/; HttpOnly; SameSite=Lax"

    def _answer(self, status: str, headers: str = "Cache-Control: no-store", *, text: str = "") -> None:
        fixed = f"Content-Type: text/plain\r\nContent-Length: {len(text)}\r\nConnection: close"
        self.request.sendall(f"HTTP/1.1 {status}\r\n{headers}\r\n{fixed}\r\n\r\n{text}".encode())

    def _pass_on(self, received: bytes) -> None:
        try:
            there = connect_to(self.server.web_port.forward, TIMEOUT)
        except OSError:
            self._answer("502 Bad Gateway", text="The cluster does not answer.\n")
            return
        with there:
            there.settimeout(None)
            self.request.settimeout(None)
            there.sendall(received)
            back = threading.Thread(target=_copy, args=(there, self.request), daemon=True)
            back.start()
            _copy(self.request, there)
            back.join()


def link_file(folder: Path, address: str) -> str:
    """Return the address of a file that leads to an address with a token, so that no argument shows that."""
    page = folder / "open.html"
    page.touch(mode=0o600)
    page.write_text(f'<meta http-equiv="refresh" content="0; url={html.escape(address)}">\n')
    return page.as_uri()


def _without_token(target: SplitResult) -> str:
    """Return the path and query of a request on this server, without the token."""
    query = urlencode([(name, value) for name, value in parse_qsl(target.query) if name != PARAMETER])
    return f"/{target.path.lstrip('/')}" + (f"?{query}" if query else "")


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while part := source.recv(65536):
            target.sendall(part)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
