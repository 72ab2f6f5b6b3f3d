"""A scheduler's answer has a size, a depth, a deadline and a shape."""

import socket
import threading
from contextlib import contextmanager

import pytest

from dask_bake.errors import BakeError
from dask_bake.ssh.scheduler_http import RESPONSE_LIMIT, get_json, worker_count, workers_per_host

OK = b"HTTP/1.1 200 OK\r\n\r\n"
PATH = "/json/counts.json"
PAUSE = threading.Event()
"""Never set: waiting for it is a pause."""


@contextmanager
def a_server(*parts, pause=0.0):
    """Yield a connection to a server that sends these parts, and closes it."""
    here, there = socket.socketpair()

    def serve():
        try:
            there.recv(1024)
            for part in parts:
                there.sendall(part)
                PAUSE.wait(pause)
        except OSError:
            pass
        there.close()

    thread = threading.Thread(target=serve)
    thread.start()
    with here:
        yield here
    thread.join()


def test_a_json_object_is_returned():
    with a_server(OK, b'{"workers"', b": 3}") as connection:
        assert get_json(connection, PATH) == {"workers": 3}


CHUNK_SIZES = (b"f" * 16, b"f" * 5000, b"-5", b"zz", b"5\r\nab")


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 404 Not Found\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}",
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 1000,
        *(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + size for size in CHUNK_SIZES),
    ],
)
def test_without_a_complete_response_there_is_no_answer_yet(answer):
    with a_server(answer) as connection:
        assert get_json(connection, PATH) is None


@pytest.mark.parametrize(
    "body",
    [
        b"no json",
        b"[]",
        b"[" * 1_000_000,
        b'{"a":' * 100_000,
        b'{"workers": ' + b"9" * 10_000 + b"}",
        b"\xff",
        b" " * (RESPONSE_LIMIT + 1),
    ],
    ids=["text", "list", "deep list", "deep object", "huge number", "no UTF-8", "size"],
)
def test_a_response_that_cannot_be_used_is_an_error(body):
    with (
        a_server(OK, body) as connection,
        pytest.raises(BakeError, match=f"scheduler's answer to {PATH} cannot be used") as raised,
    ):
        get_json(connection, PATH)

    assert "dask-bake down" in raised.value.hint


def test_the_deadline_is_one_for_the_whole_response():
    with a_server(OK, *[b" "] * 100, pause=0.05) as connection:
        assert get_json(connection, PATH, seconds=0.2) is None


def test_worker_processes_are_counted_by_host():
    workers = {"tcp://10.0.0.5:1": {"host": "10.0.0.5"}, "tcp://10.0.0.5:2": {"host": "10.0.0.5"}}

    assert workers_per_host({"workers": workers}) == {"10.0.0.5": 2}
    assert workers_per_host({"workers": {}}) == {}


@pytest.mark.parametrize(
    "identity",
    [
        {},
        {"workers": []},
        {"workers": None},
        {"workers": {"a": {}}},
        {"workers": {"a": []}},
        {"workers": {"a": {"host": ["x"]}}},
    ],
)
def test_an_identity_without_the_workers_hosts_is_an_error(identity):
    with pytest.raises(BakeError, match=r"answer to /json/identity\.json cannot be used"):
        workers_per_host(identity)


@pytest.mark.parametrize(
    "counts",
    [
        {},
        {"workers": "3"},
        {"workers": [3]},
        {"workers": None},
        {"workers": True},
        {"workers": -1},
        {"workers": 9**99},
    ],
)
def test_counts_without_a_number_of_workers_are_an_error(counts):
    with pytest.raises(BakeError, match=r"answer to /json/counts\.json cannot be used"):
        worker_count(counts)
