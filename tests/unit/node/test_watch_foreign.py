"""What other users of a node can write neither blocks nor ends the watch, and does not hold its timers."""

import json
import os
import socket
import threading
import time

import pytest

import watch_facts as facts

NOW = 1000.0
GOOD = {"at": 999.0, "pid": 7, "clients": 2, "running": True}


@pytest.fixture
def pulse(monkeypatch, tmp_path):
    """The path of the scheduler's pulse."""
    monkeypatch.setattr(facts, "PULSE", str(tmp_path / "pulse.json"))
    return tmp_path / "pulse.json"


def test_a_pulse_is_read(pulse):
    pulse.write_text(json.dumps(GOOD))

    assert facts.read_pulse(NOW) == facts.Pulse(999.0, 7, 2, running=True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        "7",
        '"at"',
        "null",
        "NaN",
        '{"at": 1',
        "[" * 60_000,
        '{"at":' * 9_000,
        '{"pid": "x"}',
        *(
            json.dumps({**GOOD, **wrong})
            for wrong in (
                {"pid": "x"},
                {"pid": None},
                {"pid": 0},
                {"pid": -1},
                {"pid": 1.5},
                {"pid": 10**400},
                {"pid": True},
                {"at": "now"},
                {"at": float("nan")},
                {"at": float("inf")},
                {"at": float("-inf")},
                {"at": -1},
                {"at": NOW + 3600},
                {"at": 10**400},
                {"at": [1]},
                {"clients": "many"},
                {"clients": -1},
                {"clients": 1e300},
                {"clients": {}},
                {"clients": 10**400},
            )
        ),
        json.dumps(GOOD) + " " * 70_000,
    ],
    ids=lambda text: text[:24] + f" ({len(text)})",
)
def test_a_malformed_pulse_is_none(pulse, text):
    pulse.write_text(text)

    assert facts.read_pulse(NOW) is None


def a_link(path):
    (path.parent / "other").write_text(json.dumps(GOOD))
    path.symlink_to(path.parent / "other")


def a_socket(path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


def a_large_file(path):
    path.touch()
    os.truncate(path, 2**30)


@pytest.mark.parametrize(
    "put",
    [os.mkfifo, a_link, a_socket, a_large_file, os.mkdir, lambda path: path.symlink_to("/dev/zero")],
    ids=["FIFO", "symlink", "socket", "1 GB", "folder", "device"],
)
def test_only_a_small_regular_file_is_read(pulse, put):
    """A FIFO without a writer blocks whoever opens it."""
    put(pulse)

    assert facts.read_pulse(NOW) is None


def test_devices_are_not_read():
    assert facts.read("/dev/zero") == ""


@pytest.mark.parametrize("body", ["{}", '["busy"]', "[[" * 30_000, "7", "null"])
def test_a_strange_list_of_kernels_has_no_busy_one(monkeypatch, tmp_path, body):
    monkeypatch.setattr(facts, "JUPYTER", str(tmp_path))
    (tmp_path / "lab.sock").touch()
    monkeypatch.setattr(facts, "request", lambda *_: (200, body))

    assert facts.has_busy_kernel() is False


def serve(send):
    """Serve one connection, and return the server and its thread."""
    server = socket.create_server(("127.0.0.1", 0))

    def answer():
        connection, _ = server.accept()
        with connection:
            try:
                send(connection)
            except OSError:
                return

    threading.Thread(target=answer, daemon=True).start()
    return server


def drip(connection):
    """Send a byte now and then, for ever: no single one is late."""
    while True:
        connection.sendall(b" ")
        threading.Event().wait(0.02)


def flood(connection):
    while True:
        connection.sendall(b" " * 65536)


@pytest.mark.parametrize("send", [drip, flood])
def test_a_response_without_an_end_is_none(monkeypatch, send):
    begin = time.monotonic()
    with serve(send) as server:
        assert facts.request(server.getsockname(), "GET / HTTP/1.0\r\n\r\n", timeout=0.2) == (0, "")
    with serve(send) as server:
        monkeypatch.setattr(facts, "PORT", server.getsockname()[1])
        assert facts.cluster_status("127.0.0.1", timeout=0.2) is None

    assert time.monotonic() - begin < 60


@pytest.mark.parametrize("answer", ["[1]", "7", "{}", '{"over": 7}', "[" * 60_000])
def test_a_malformed_status_is_none(monkeypatch, answer):
    with serve(lambda connection: connection.sendall(answer.encode())) as server:
        monkeypatch.setattr(facts, "PORT", server.getsockname()[1])

        assert facts.cluster_status("127.0.0.1") is None


@pytest.mark.parametrize("extended", [-1, 10**12, True, "600", None, float("nan")])
def test_an_extension_that_is_no_sensible_number_is_none(monkeypatch, extended):
    answer = json.dumps({"over": "", "extended": extended})
    with serve(lambda connection: connection.sendall(answer.encode())) as server:
        monkeypatch.setattr(facts, "PORT", server.getsockname()[1])

        assert facts.cluster_status("127.0.0.1") == {"over": ""}


def test_only_root_can_answer_workers_in_place_of_the_watch():
    """A task that did could extend the lifetime of workers, also against ``dask-bake-lifetime``."""
    assert facts.PORT < 1024  # ip(7), ip_unprivileged_port_start


def test_a_reason_has_no_control_characters(monkeypatch):
    answer = json.dumps({"over": "its\x1b[2J\nlifetime\u009b"})
    with serve(lambda connection: connection.sendall(answer.encode())) as server:
        monkeypatch.setattr(facts, "PORT", server.getsockname()[1])

        assert facts.cluster_status("127.0.0.1") == {"over": "its[2Jlifetime"}
