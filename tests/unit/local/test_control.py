"""The status of a running local cloud."""

from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest
from werkzeug.serving import make_server
from werkzeug.wrappers import Response

from dask_bake.local import control
from dask_bake.local.control import Finding, LocalStatus, status
from dask_bake.local.settings import Settings


@contextmanager
def answering(text: str):
    """Yield the port of a server that answers every request with the text."""
    server = make_server("127.0.0.1", 0, Response(text))
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


RUNNING = (
    '{"pid": 7, "url": "http://127.0.0.1", "block": "10.0.0.0/20", "images": 1, "instances": 2,'
    ' "root": "/srv/mine"}'
)


def test_the_status_of_a_running_local_cloud_is_read():
    with answering(RUNNING) as port:
        seen = status(Settings(root=Path("/srv/mine"), port=port))

    assert seen == LocalStatus(7, "http://127.0.0.1", "10.0.0.0/20", 1, 2, "/srv/mine")


def test_the_status_is_that_of_the_local_cloud_with_the_same_name():
    with answering(RUNNING.replace("{", '{"name": "second", ', 1)) as port:
        mine = Settings(root=Path("/srv/mine"), port=port)
        second = Settings(name="second", root=Path("/srv/mine"), port=port)

        assert (status(mine), status(second)) == (
            None,
            LocalStatus(7, "http://127.0.0.1", "10.0.0.0/20", 1, 2, "/srv/mine"),
        )


@pytest.mark.parametrize("text", [RUNNING, "<html>hello</html>", "[]", "{}", '"text"'])
def test_another_program_at_the_port_is_not_a_local_cloud(text):
    with answering(text) as port:
        assert status(Settings(root=Path("/srv/other"), port=port)) is None


def test_doctor_names_what_instances_need_of_the_kernel(monkeypatch):
    monkeypatch.setattr(control, "missing_namespaces", lambda: ("user namespaces", "sysctl …"))

    assert Finding("missing", "user namespaces", "sysctl …") in control._missing()
