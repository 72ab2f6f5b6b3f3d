"""A node's state, as read from files, processes, connections and the metadata service."""

import os
import socket
import threading
import time
from contextlib import contextmanager

import pytest

import watch_facts as facts

TABLE = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0500000A:9C40 0400000A:2252 01 00000000:00000000 00:00000000 00000000   998        0 1 1
   1: 0500000A:9C42 0600000A:2252 06 00000000:00000000 00:00000000 00000000   998        0 1 1
   2: 00000000:2252 00000000:0000 0A 00000000:00000000 00:00000000 00000000   998        0 1 1
"""


def test_only_an_established_connection_to_that_port_of_that_address_counts():
    assert facts.is_connected(TABLE, "10.0.0.4", 8786)
    assert not facts.is_connected(TABLE, "10.0.0.4", 8787)
    assert not facts.is_connected(TABLE, "10.0.0.6", 8786)
    assert not facts.is_connected(TABLE, "10.0.0.5", 40000)
    assert not facts.is_connected("", "10.0.0.4", 8786)


def test_connections_of_this_machine_are_found():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not facts.is_connected(facts.read("/proc/net/tcp"), "127.0.0.1", port)
        with socket.create_connection(("127.0.0.1", port)):
            assert facts.is_connected(facts.read("/proc/net/tcp"), "127.0.0.1", port)


def test_a_process_is_a_user_s_by_its_user_id():
    status = "Name:\tsshd\nUmask:\t0022\nUid:\t{0}\t{0}\t{0}\t{0}\n"

    assert facts.is_users(status.format(1000))
    assert not facts.is_users(status.format(0))
    assert not facts.is_users(status.format(104))
    assert not facts.is_users("")


def test_extensions_add_up_and_the_latest_end_counts():
    assert facts.extensions("") == facts.Extensions(0, 0.0, 0.0)
    assert facts.extensions("100 50\n120 10.5\n") == facts.Extensions(2, 60.5, 150.0)


def test_a_broken_line_of_an_extension_is_ignored():
    assert facts.extensions("100 50\n12") == facts.Extensions(1, 50.0, 150.0)
    assert facts.extensions("what\n100 50\n") == facts.Extensions(1, 50.0, 150.0)


def test_the_cpu_time_of_a_process_is_read():
    """Of this process; the system counts it in ticks."""
    begin = facts.cpu_seconds(os.getpid())
    deadline = time.process_time() + 0.1
    while time.process_time() < deadline:
        pass

    assert 0.05 <= facts.cpu_seconds(os.getpid()) - begin < 10
    assert facts.cpu_seconds(2**22 + 1) == 0.0


def test_a_file_that_is_missing_or_not_json_reads_as_nothing(tmp_path):
    (tmp_path / "half").write_text('{"at": 1')

    assert facts.read(tmp_path / "none") == ""
    assert facts.read_json(tmp_path / "none") is None
    assert facts.read_json(tmp_path / "half") is None
    facts.write(tmp_path / "whole", "[1]")
    assert facts.read_json(tmp_path / "whole") == [1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["half", "whole"]


def answering(*answers):
    """Return a server that sends one answer to each connection, and the requests that it received."""
    server, requests = socket.create_server(("127.0.0.1", 0)), []

    def serve():
        for answer in answers:
            connection, _ = server.accept()
            with connection:
                requests.append(connection.recv(65536).decode())
                connection.sendall(answer.encode())

    threading.Thread(target=serve, daemon=True).start()
    return server, requests


def test_an_answer_has_a_status_and_a_body():
    server, requests = answering("HTTP/1.0 404 Not Found\r\nA: b\r\n\r\nnothing", "no http")
    address = server.getsockname()
    with server:
        assert facts.request(address, "GET /a HTTP/1.0\r\n\r\n") == (404, "nothing")
        assert facts.request(address, "GET /b HTTP/1.0\r\n\r\n") == (0, "")
    assert facts.request(address, "GET /c HTTP/1.0\r\n\r\n") == (0, "")
    assert requests[0] == "GET /a HTTP/1.0\r\n\r\n"


class Service(facts.Metadata):
    """A metadata service with a few answers, which records its requests."""

    def __init__(self, *answers):
        super().__init__()
        self.answers, self.requests = list(answers), []

    def _request(self, method, path, headers):
        self.requests.append((method, path, headers.partition("\r\n")[0]))
        return self.answers.pop(0)


def test_metadata_is_requested_with_a_token_that_is_renewed_when_it_has_expired():
    service = Service((200, "one"), (404, ""), (401, ""), (200, "two"), (200, "notice\n"))

    assert service.get("spot/instance-action") == ""
    assert service.get("spot/instance-action") == "notice"
    token = "X-aws-ec2-metadata-token"
    assert service.requests == [
        ("PUT", "api/token", f"{token}-ttl-seconds: 21600"),
        ("GET", "meta-data/spot/instance-action", f"{token}: one"),
        ("GET", "meta-data/spot/instance-action", f"{token}: one"),
        ("PUT", "api/token", f"{token}-ttl-seconds: 21600"),
        ("GET", "meta-data/spot/instance-action", f"{token}: two"),
    ]


@pytest.mark.parametrize(
    "answers", [[(0, "")], [(403, "")], [(200, "one"), (500, "")], [(200, "1"), (401, "")] * 2]
)
def test_a_metadata_service_that_does_not_answer_gives_none(answers):
    assert Service(*answers).get("spot/instance-action") is None


@contextmanager
def jupyter(folder, body, status="200 OK"):
    """Serve one answer at JupyterLab's socket, in place of its list of kernels."""
    (folder / "token").write_text("secret\n")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "lab.sock"))
        server.listen()

        def serve():
            connection, _ = server.accept()
            with connection:
                assert "Authorization: token secret\r\n" in connection.recv(65536).decode()
                connection.sendall(f"HTTP/1.0 {status}\r\n\r\n{body}".encode())

        thread = threading.Thread(target=serve)
        thread.start()
        yield
        thread.join()


@pytest.mark.parametrize(
    ("body", "status", "is_busy"),
    [
        ('[{"execution_state": "idle"}, {"execution_state": "busy"}]', "200 OK", True),
        ('[{"execution_state": "idle"}]', "200 OK", False),
        ("[]", "200 OK", False),
        ("no json", "200 OK", False),
        ('[{"execution_state": "busy"}]', "403 Forbidden", False),
    ],
)
def test_a_notebook_is_busy_if_jupyterlab_says_so(monkeypatch, tmp_path, body, status, is_busy):
    monkeypatch.setattr(facts, "JUPYTER", str(tmp_path))
    with jupyter(tmp_path, body, status):
        assert facts.has_busy_kernel() is is_busy


def test_without_jupyterlab_no_notebook_is_busy(monkeypatch, tmp_path):
    monkeypatch.setattr(facts, "JUPYTER", str(tmp_path))

    assert facts.has_busy_kernel() is False


@pytest.mark.parametrize(
    ("answer", "status"), [('{"over": "why"}', {"over": "why"}), ("", None), ("half {", None)]
)
def test_a_worker_reads_the_cluster_s_status_from_its_head(monkeypatch, answer, status):
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(facts, "PORT", server.getsockname()[1])

        def serve():
            connection, _ = server.accept()
            with connection:
                connection.sendall(answer.encode())

        thread = threading.Thread(target=serve)
        thread.start()
        assert facts.cluster_status("127.0.0.1") == status
        thread.join()


def test_a_head_that_is_gone_has_no_status(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(facts, "PORT", server.getsockname()[1])

    assert facts.cluster_status("127.0.0.1") is None


def test_a_message_is_a_line_of_its_own_on_the_console(monkeypatch, tmp_path):
    monkeypatch.setattr(facts, "CONSOLE", str(tmp_path / "console"))
    facts.write_console("DASK-BAKE-END idle: why")

    assert (tmp_path / "console").read_bytes() == b"\r\nDASK-BAKE-END idle: why\r\n"


def test_a_node_without_a_console_goes_on(monkeypatch, tmp_path):
    monkeypatch.setattr(facts, "CONSOLE", str(tmp_path / "none" / "console"))
    facts.write_console("DASK-BAKE-END idle: why")
