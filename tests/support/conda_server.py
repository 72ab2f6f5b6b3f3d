"""Serve a folder on loopback as a conda channel, with authentication and with faults."""

import base64
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


@dataclass
class Served:
    """A channel that is being served. Its faults may be set at any time; the sets hold file names."""

    url: str
    requests: list[str] = field(default_factory=list)
    unavailable: bool = False
    hanging: bool = False
    truncated: set[str] = field(default_factory=set)
    stalled: set[str] = field(default_factory=set)
    corrupt: set[str] = field(default_factory=set)
    closed: threading.Event = field(default_factory=threading.Event)


@contextmanager
def serve(
    folder: Path,
    *,
    username: str | None = None,
    password: str | None = None,
    token: str | None = None,
    certificate: Path | None = None,
) -> Iterator[Served]:
    """Serve the channel on loopback, also as a proxy.

    Requests need the name and password, or the token in the URL, if these are given. The file of the
    certificate also holds its key.
    """
    served = Served("")
    expected = "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode() if username else None
    handler = partial(_Handler, served=served, expected=expected, token=token, directory=str(folder))
    with _Server(("127.0.0.1", 0), handler) as server:
        served.url = f"http://127.0.0.1:{server.server_port}"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            server.socket = context.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
            served.url = served.url.replace("http", "https")
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield served
        finally:
            served.closed.set()
            server.shutdown()
            thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *arguments: Any) -> None:
        """Print nothing: the client reports errors such as a rejected certificate."""


class _Handler(SimpleHTTPRequestHandler):
    def __init__(
        self, *arguments: Any, served: Served, expected: str | None, token: str | None, directory: str
    ) -> None:
        self.served, self.expected, self.prefix = served, expected, f"/t/{token}" if token else ""
        super().__init__(*arguments, directory=directory)

    def handle(self) -> None:
        with suppress(ConnectionError):
            super().handle()

    def do_GET(self) -> None:
        name = urlsplit(self.path).path
        path = Path(self.translate_path(name.removeprefix(self.prefix)))
        path = path / "index.html" if path.is_dir() else path
        self.served.requests.append(self.path)
        if self.served.hanging:
            self.served.closed.wait()
        elif self.served.unavailable:
            self.send_error(503)
        elif self.expected not in (None, self.headers["Authorization"]) or not name.startswith(self.prefix):
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="channel"')
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif not path.is_file():
            self.send_error(404)
        else:
            data = path.read_bytes()
            middle = len(data) // 2
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.send_header("Content-Type", self.guess_type(path))
            self.end_headers()
            if path.name in self.served.truncated:
                data = data[:middle]
            elif path.name in self.served.corrupt:
                data = data[:middle] + bytes([data[middle] ^ 0xFF]) + data[middle + 1 :]
            elif path.name in self.served.stalled:
                self.wfile.write(data[:middle])
                self.served.closed.wait()
                data = data[middle:]
            if self.command != "HEAD":
                self.wfile.write(data)

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *arguments: Any) -> None:
        pass
