"""The service of a node that gives AWS SDKs the credentials of tasks."""

import json
import socket
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from botocore.credentials import ContainerProvider
from botocore.exceptions import CredentialRetrievalError
from botocore.utils import ContainerMetadataFetcher

from node_programs import load

program = load("credentials")
NOW = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
TOKEN = "a token of this node"
ASK = program.Request("GET", "/credentials", TOKEN)
FOLDER = "iam/security-credentials/"


def credentials(name="A", expiration="2026-01-01T01:00:00Z"):
    return {
        "AccessKeyId": f"ASIA{name}",
        "SecretAccessKey": "s",
        "Token": "t" * 1000,
        "Expiration": expiration,
    }


def hand_over(document, is_local=True):
    return program.Request("PUT", "/credentials", "", json.dumps(document).encode(), is_local)


class FakeMetadata:
    """A metadata service with these categories; None for one that does not answer."""

    def __init__(self, **values):
        self.values = values
        self.requests = []

    def get(self, path):
        self.requests.append(path)
        return self.values.get(path, "")


def of_role(document, role="reader"):
    whole = {"Code": "Success", "Type": "AWS-HMAC", "LastUpdated": "2026-01-01T00:00:00Z", **document}
    return FakeMetadata(**{FOLDER: role, FOLDER + role: json.dumps(whole)})


def broker(source, metadata=None):
    return program.Broker(source, metadata or FakeMetadata())


def refusal(one, request=ASK, *, token=TOKEN, now=NOW):
    with pytest.raises(program.Refusal) as caught:
        one.answer(request, token, now)
    return caught.value.status, str(caught.value)


def test_tasks_get_the_four_values_of_the_role_and_nothing_else():
    assert broker("profile", of_role(credentials())).answer(ASK, TOKEN, NOW) == credentials()


@pytest.mark.parametrize("authorization", ["", "another token", f"{TOKEN} ", "é"])
def test_without_the_token_there_are_none(authorization):
    one = broker("profile", of_role(credentials()))

    assert refusal(one, ASK._replace(authorization=authorization))[0] == 401
    assert refusal(one, ASK._replace(authorization=""), token="")[0] == 401  # the file is missing


@pytest.mark.parametrize(
    "path", ["/", "/credentials/", "/latest/user-data", "/credentials?a", "//credentials"]
)
def test_there_is_nothing_at_other_paths(path):
    assert refusal(broker("profile", of_role(credentials())), ASK._replace(path=path))[0] == 404


def test_ec2_is_asked_again_after_some_seconds():
    metadata = of_role(credentials())
    one = broker("profile", metadata)
    for seconds in (0, 4, 6, 7):
        one.answer(ASK, TOKEN, NOW + seconds)

    assert metadata.requests == [FOLDER, f"{FOLDER}reader"] * 2


def test_valid_credentials_are_given_while_ec2_does_not_answer():
    metadata = of_role(credentials())
    one = broker("profile", metadata)
    one.answer(ASK, TOKEN, NOW)
    metadata.values[FOLDER] = None

    assert one.answer(ASK, TOKEN, NOW + 3000) == credentials()
    assert refusal(one, now=NOW + 3601) == (403, "the instance metadata service does not answer")


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (FakeMetadata(), program.NO_ROLE),
        (FakeMetadata(**{FOLDER: "../user-data"}), program.NO_ROLE),
        (
            FakeMetadata(**{FOLDER: "r", f"{FOLDER}r": "<html>"}),
            "EC2 gives no credentials of the role r: no document",
        ),
        (
            of_role({"Code": "AssumeRoleUnauthorizedAccess\n"}, "r"),
            "EC2 gives no credentials of the role r: AssumeRoleUnauthorizedAccess",
        ),
        (of_role({}), "this is no document with credentials"),
        (of_role(credentials(expiration="soon")), "the expiration is not a time like %Y-%m-%dT%H:%M:%SZ"),
    ],
)
def test_a_profile_that_gives_no_credentials_is_a_sentence(metadata, message):
    assert refusal(broker("profile", metadata))[1] == message


@pytest.mark.parametrize("source", ["none", "forward"])
def test_what_was_handed_over_last_is_given_until_it_expires(source):
    one = broker(source)
    assert one.answer(hand_over(credentials("A")), TOKEN, NOW) == {}
    assert one.answer(hand_over(credentials("B")), TOKEN, NOW) == {}

    assert one.answer(ASK, TOKEN, NOW + 3599) == credentials("B")
    status, message = refusal(one, now=NOW + 3600)
    assert (status, message) == (403, program.EXPIRED.format("2026-01-01T01:00:00Z"))


@pytest.mark.parametrize(("source", "message"), [("none", program.NONE_HERE), ("forward", program.NONE_SENT)])
def test_a_refusal_names_the_option(source, message):
    assert refusal(broker(source)) == (403, message)
    assert f"--credentials {source}" in message


def test_the_profile_s_credentials_cannot_be_replaced():
    one = broker("profile", of_role(credentials()))

    assert refusal(one, hand_over(credentials("B"))) == (403, program.OF_PROFILE)
    assert one.answer(ASK, TOKEN, NOW) == credentials()


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {**credentials(), "Token": ""},
        {**credentials(), "Token": 1},
        {**credentials(), "Token": "a\nb"},
        {**credentials(), "Token": "é"},
        {**credentials(), "Token": "t" * 8193},
        {**credentials(), "Expiration": "2026-01-01"},
    ],
)
def test_only_complete_documents_are_taken(document):
    one = broker("forward")

    assert refusal(one, hand_over(document))[0] == 400
    assert refusal(one) == (403, program.NONE_SENT)


def test_nothing_is_handed_over_on_loopback_or_read_from_the_unix_socket():
    one = broker("forward")

    assert refusal(one, hand_over(credentials(), is_local=False))[0] == 400
    assert refusal(one, ASK._replace(is_local=True))[0] == 400


@pytest.fixture
def service(tmp_path, monkeypatch):
    """The program at sockets like those of its unit, without a profile."""
    (tmp_path / "token").write_text(TOKEN)
    monkeypatch.setattr(program, "TOKEN", str(tmp_path / "token"))
    listeners = [socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_UNIX)]
    listeners[1].bind(str(tmp_path / "socket"))
    listeners[1].listen()
    port = listeners[0].getsockname()[1]
    threading.Thread(target=program.serve, args=(listeners, broker("forward")), daemon=True).start()
    return SimpleNamespace(
        url=f"http://127.0.0.1:{port}/credentials",
        address=("127.0.0.1", port),
        token_file=str(tmp_path / "token"),
        path=str(tmp_path / "socket"),
    )


def sdk(service):
    """Return botocore's provider of credentials in a container."""
    names = ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
    environ = dict(zip(names, (service.url, service.token_file), strict=True))
    return ContainerProvider(environ, ContainerMetadataFetcher(sleep=lambda _: None))


def test_an_sdk_gets_what_dask_s_processes_hand_over_and_reads_why_it_gets_nothing(service, monkeypatch):
    import dask_bake_credentials

    monkeypatch.setattr(dask_bake_credentials, "SOCKET", service.path)
    with pytest.raises(CredentialRetrievalError) as caught:
        sdk(service).load()
    soon = datetime.fromtimestamp(time.time() + 3600, UTC).strftime(program.MOMENT)
    dask_bake_credentials.hand_over(credentials(expiration=soon))
    found = sdk(service).load().get_frozen_credentials()

    assert program.NONE_SENT in str(caught.value)
    assert (found.access_key, found.secret_key, found.token) == ("ASIAA", "s", "t" * 1000)
    with pytest.raises(OSError, match="refused"):
        dask_bake_credentials.hand_over({"AccessKeyId": "A"})


@pytest.mark.parametrize(
    "sent",
    [
        b"\r\n\r\n",
        b"GET /credentials\r\n\r\n",
        b"x" * 40_000,
        b"PUT / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"",
    ],
)
def test_what_is_no_request_gets_no_answer(service, sent):
    # The connection may be closed before all is sent.
    with socket.create_connection(service.address, timeout=60) as connection, suppress(ConnectionError):
        connection.sendall(sent)
        with suppress(OSError):
            connection.shutdown(socket.SHUT_WR)
        assert connection.recv(100) == b""


def test_a_client_that_sends_nothing_keeps_no_other_waiting(service):
    with socket.create_connection(service.address), socket.create_connection(service.address) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        connection.settimeout(60)

        assert connection.recv(100).startswith(b"HTTP/1.1 404 Not Found\r\n")


def test_it_listens_where_systemd_says(monkeypatch):
    """As many sockets as there are, by the number in the environment."""
    served = []

    def serve(listeners, one):
        served.append(([listener.getsockname() for listener in listeners], one._source))
        for listener in listeners:
            listener.close()

    listener = socket.create_server(("127.0.0.1", 0))
    address = listener.getsockname()
    monkeypatch.setattr(program, "serve", serve)
    monkeypatch.setattr(program, "FIRST_LISTENER", listener.detach())
    monkeypatch.setenv("LISTEN_FDS", "1")
    monkeypatch.setenv("DASK_BAKE_CREDENTIALS", "profile")
    program.main()

    assert served == [([address], "profile")]
