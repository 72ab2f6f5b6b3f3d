"""A port for browsers asks for its token once, and then passes connections on as they are."""

import socket
import socketserver
import threading
from contextlib import contextmanager
from urllib.request import urlopen

import pytest

from dask_bake.ssh import web_port as web_port_module
from dask_bake.ssh.command import Forward
from dask_bake.ssh.web_port import HEAD_LIMIT, WebPort, link_file
from ports import free_port, is_closed_while_dripping


class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while part := self.request.recv(65536):
            self.request.sendall(part)


@pytest.fixture(scope="module")
def echo():
    """Return the forward to a server that returns what it receives."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Forward(server.server_address[1], 8787)
        server.shutdown()
        thread.join()


@pytest.fixture
def web_port(echo):
    with WebPort(echo, preferred=0, token="s3cret") as port:
        yield port


@contextmanager
def connected(port):
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        yield connection


def ask(port, target="/status", *headers):
    """Return the whole response to a request; its end is this side's end, if not the server's."""
    with connected(port) as connection:
        connection.sendall("\r\n".join([f"GET {target} HTTP/1.1", "Host: x", *headers, "", ""]).encode())
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b"")).decode()


@pytest.mark.parametrize(
    ("target", "headers"),
    [
        ("/status", []),
        ("/status?token=", []),
        ("/status?token=other", []),
        ("/status?token=%C3%A9", []),
        ("/status", ["Cookie: dask-bake-1=s3cret"]),
        ("/status", ["Cookie: dask-bake-{port}=other; s3cret"]),
        ("/status", ["Cookie: dask-bake-{port}=s3cre\xe9"]),
        ("s3cret", ["Authorization: token s3cret"]),
    ],
)
def test_without_the_token_nothing_is_passed_on(web_port, target, headers):
    answer = ask(web_port.port, target, *[each.format(port=web_port.port) for each in headers])

    assert answer.startswith("HTTP/1.1 403 Forbidden\r\n")
    assert "s3cret" not in answer


@pytest.mark.parametrize(
    ("target", "location"),
    [
        ("/status?token=s3cret", "/status"),
        ("/graph?a=1&token=s3cret&b=x%20y", "/graph?a=1&b=x+y"),
        ("//elsewhere.example/x?token=s3cret", "/x"),
        ("http://elsewhere.example?token=s3cret", "/"),
    ],
)
def test_the_token_is_exchanged_for_a_cookie_and_leaves_the_address(web_port, target, location):
    lines = ask(web_port.port, target).split("\r\n")

    assert lines[:2] == ["HTTP/1.1 302 Found", f"Location: {location}"]
    assert lines[2] == f"Set-Cookie: dask-bake-{web_port.port}=s3cret; Path=/; HttpOnly; SameSite=Lax"


def test_with_the_cookie_a_connection_is_passed_on_in_both_directions(web_port):
    head = f"GET /ws HTTP/1.1\r\nCookie: a=b; dask-bake-{web_port.port}=s3cret\r\n\r\n".encode()
    with connected(web_port.port) as connection:
        for part in (head, b"\x81\x05hello", b"\x00" * 100_000):
            connection.sendall(part)
            received = b""
            while len(received) < len(part):
                received += connection.recv(65536)
            assert received == part


def test_without_a_token_every_connection_is_passed_on(echo):
    with WebPort(echo, preferred=0) as port:
        assert ask(port.port, "/lab").startswith("GET /lab HTTP/1.1\r\n")


def test_an_endless_head_is_not_kept(web_port):
    with connected(web_port.port) as connection, pytest.raises(OSError, match=r"reset|Broken pipe"):
        connection.sendall(b"x" * 1000 * HEAD_LIMIT)


def test_a_head_that_comes_byte_by_byte_is_not_waited_for(web_port, monkeypatch):
    monkeypatch.setattr(web_port_module, "TIMEOUT", 0.3)
    with socket.create_connection(("127.0.0.1", web_port.port), timeout=0.05) as slow:
        assert is_closed_while_dripping(slow)


def test_a_file_leads_to_an_address_that_is_in_no_argument(tmp_path):
    address = link_file(tmp_path, "http://127.0.0.1:8787/status?token=s3cret&a=1")

    assert "s3cret" not in address
    with urlopen(address) as page:
        assert b"url=http://127.0.0.1:8787/status?token=s3cret&amp;a=1" in page.read()
    assert (tmp_path / "open.html").stat().st_mode & 0o777 == 0o600


def test_without_the_cluster_the_answer_says_so():
    with WebPort(Forward(free_port(), 8787), preferred=0) as port:
        assert ask(port.port).startswith("HTTP/1.1 502 Bad Gateway\r\n")


def test_a_port_in_use_is_replaced_by_a_free_one(echo):
    with WebPort(echo, preferred=0) as first, WebPort(echo, preferred=first.port) as second:
        assert second.port != first.port


def test_a_port_is_free_again_afterwards(echo):
    with WebPort(echo, preferred=0) as first:
        ask(first.port)
    with pytest.raises(ConnectionRefusedError), connected(first.port):
        pass
