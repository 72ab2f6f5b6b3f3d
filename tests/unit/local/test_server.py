"""The server's endpoints: errors while they start, and their end."""

import socket

import pytest

from dask_bake.errors import BakeError
from dask_bake.local.server import _listening, check_port
from dask_bake.local.settings import Settings


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
    with _listening("127.0.0.1", 0, None) as server:
        port = server.server_address[1]
        socket.create_connection(("127.0.0.1", port), timeout=5).close()

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)
