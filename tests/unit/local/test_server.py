"""The server's endpoints: errors while they start, and their end."""

import logging
import socket
import subprocess
import sys
import threading

import pytest

from dask_bake.errors import BakeError
from dask_bake.local import server
from dask_bake.local.server import _listening, check_port
from dask_bake.local.settings import Settings
from ports import is_closed_while_dripping


@pytest.fixture
def taken():
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


def test_a_port_in_use_is_an_error_with_a_hint(taken):
    with pytest.raises(BakeError) as caught:
        check_port(Settings(port=taken))

    assert (caught.value.message, caught.value.hint) == (
        f"port {taken} is in use by another program",
        "set DASK_BAKE_LOCAL_PORT to a free port",
    )


def test_an_address_that_cannot_be_bound_is_an_error_and_the_process_goes_on(taken):
    with pytest.raises(BakeError) as caught, _listening("127.0.0.1", taken, None):
        pass

    message = f"the local cloud cannot listen at 127.0.0.1:{taken}: Address already in use"
    assert caught.value.message == message


def test_listening_sockets_are_closed_at_the_end():
    with _listening("127.0.0.1", 0, None) as listening:
        port = listening.server_address[1]
        socket.create_connection(("127.0.0.1", port), timeout=5).close()

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)


def test_a_connection_without_a_request_is_closed(monkeypatch):
    """Any user of this machine can open as many as the server may have files."""
    monkeypatch.setattr(server, "REQUEST_TIMEOUT", 0.1)
    with (
        _listening("127.0.0.1", 0, None) as listening,
        socket.create_connection(("127.0.0.1", listening.server_address[1]), timeout=60) as idle,
        socket.create_connection(("127.0.0.1", listening.server_address[1]), timeout=60) as slow,
    ):
        slow.sendall(b"GET / HTTP/1.1\r\nHost:")
        assert (idle.recv(1), slow.recv(1)) == (b"", b"")


def test_a_request_that_comes_byte_by_byte_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(server, "REQUEST_TIMEOUT", 0.3)
    with (
        _listening("127.0.0.1", 0, None) as listening,
        socket.create_connection(("127.0.0.1", listening.server_address[1]), timeout=0.05) as slow,
    ):
        assert is_closed_while_dripping(slow)


def test_a_request_is_answered_however_long_it_takes(monkeypatch):
    monkeypatch.setattr(server, "REQUEST_TIMEOUT", 0.5)
    may_answer = threading.Event()

    def app(environ, start_response):
        received = environ["wsgi.input"].read(2)
        may_answer.wait(60)
        start_response("200 OK", [("Content-Length", "2")])
        return [received]

    with (
        _listening("127.0.0.1", 0, app) as listening,
        socket.create_connection(("127.0.0.1", listening.server_address[1]), timeout=60) as client,
    ):
        client.sendall(b"PUT / HTTP/1.1\r\nContent-Length: 2\r\n\r\n")
        client.settimeout(1.0)
        with pytest.raises(TimeoutError):
            client.recv(1)
        client.settimeout(60)
        client.sendall(b"ok")
        may_answer.set()
        assert client.makefile("rb").read().endswith(b"\r\n\r\nok")


@pytest.mark.parametrize("sent", [b"\x16\x03\x01" + b"a" * 70_000, b"GET / FTP/1\r\n", b"BREW\r\n"])
def test_what_is_no_request_is_not_logged(sent, caplog):
    """Others could fill the disk with it."""
    with (
        _listening("127.0.0.1", 0, None) as listening,
        socket.create_connection(("127.0.0.1", listening.server_address[1]), timeout=60) as client,
    ):
        client.sendall(sent + b"\r\n\r\n")
        client.makefile("rb").read()

    assert [each for each in caplog.records if each.levelno >= logging.WARNING] == []


def test_the_server_s_files_are_its_own_whatever_its_caller_s_umask_is():
    """With 000, dnsmasq's table and files of the base trees could be changed by any user."""
    script = (
        "import os, signal; from dask_bake.local.server import be_independent\n"
        "os.umask(0); be_independent(lambda: print('stopped')); print(oct(os.umask(0)), flush=True)\n"
        "os.kill(os.getpid(), signal.SIGHUP); os.kill(os.getpid(), signal.SIGTERM)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["0o22", "stopped"]
