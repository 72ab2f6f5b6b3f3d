"""The local cloud is started once, found again, and says what keeps it from starting."""

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest
from werkzeug.serving import make_server
from werkzeug.wrappers import Response

from dask_bake.errors import BakeError
from dask_bake.local.control import LocalStatus, status
from dask_bake.local.pidfile import is_root_held, lock_pid_file, lock_root, running_pid
from dask_bake.local.requirements import missing_packages, require_programs
from dask_bake.local.server_process import follow_start, server_command
from dask_bake.local.settings import Settings


def absent(*programs: str):
    return lambda program: None if program in programs else f"/usr/bin/{program}"


def test_missing_programs_are_named_by_their_packages_with_the_command_that_installs_them():
    with pytest.raises(BakeError) as caught:
        require_programs(absent("systemd-nspawn", "mmdebstrap"))

    assert (caught.value.message, caught.value.hint) == (
        "the local cloud needs Debian packages that are not installed: mmdebstrap systemd-container",
        "apt-get install mmdebstrap systemd-container",
    )


def test_nothing_is_missing_where_every_program_is():
    assert missing_packages(absent()) == ()
    require_programs(absent())


def test_the_server_gets_our_settings_and_a_mount_namespace_of_its_own(monkeypatch):
    monkeypatch.setenv("PATH", "/bin")

    command = server_command(Settings(name="mine", root=Path("/srv/mine"), port=6000))

    assert command == [
        "env",
        "DASK_BAKE_LOCAL_NAME=mine",
        "DASK_BAKE_LOCAL_ROOT=/srv/mine",
        "DASK_BAKE_LOCAL_PORT=6000",
        "AWS_EC2_METADATA_DISABLED=true",
        f"PYTHONPATH={Path(__file__).parents[3] / 'launcher'}",
        "PYTHONDONTWRITEBYTECODE=1",
        "PATH=/bin:/usr/sbin:/sbin",
        "unshare",
        "--mount",
        "--propagation",
        "slave",
        sys.executable,
        "-m",
        "dask_bake.local.server",
    ]


def test_the_server_is_followed_until_it_is_ready():
    lines = iter(['{"ready": "10.0.0.0/20"}', "not read"])

    assert follow_start(lines)
    assert list(lines) == ["not read"]


def test_a_server_that_ends_without_a_word_was_not_ready():
    assert not follow_start([])


def test_a_server_that_cannot_run_says_why():
    with pytest.raises(BakeError) as caught:
        follow_start(['{"error": "no room", "hint": "make some"}'])

    assert (caught.value.message, caught.value.hint) == ("no room", "make some")


@contextmanager
def answering(text: str):
    """The port of a server that gives one answer."""
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


def test_a_running_local_cloud_tells_its_status():
    with answering(RUNNING) as port:
        seen = status(Settings(root=Path("/srv/mine"), port=port))

    assert seen == LocalStatus(7, "http://127.0.0.1", "10.0.0.0/20", 1, 2, "/srv/mine")


def test_a_local_cloud_of_another_name_is_another_one():
    with answering(RUNNING.replace("{", '{"name": "second", ', 1)) as port:
        mine = Settings(root=Path("/srv/mine"), port=port)
        second = Settings(name="second", root=Path("/srv/mine"), port=port)

        assert (status(mine), status(second)) == (
            None,
            LocalStatus(7, "http://127.0.0.1", "10.0.0.0/20", 1, 2, "/srv/mine"),
        )


@pytest.mark.parametrize("text", [RUNNING, "<html>hello</html>", "[]", "{}", '"text"'])
def test_whoever_else_answers_at_the_port_is_not_our_local_cloud(text):
    with answering(text) as port:
        assert status(Settings(root=Path("/srv/other"), port=port)) is None


class Claimed(Settings):
    """Settings whose runtime folder is a test's."""

    @property
    def runtime(self) -> Path:
        return self.root / "run"


def test_one_server_at_a_time_holds_a_local_cloud(tmp_path):
    settings = Claimed(name="mine", root=tmp_path)
    assert running_pid(settings) is None

    held = lock_pid_file(settings)
    assert running_pid(settings) == os.getpid()
    with pytest.raises(BakeError, match="another server of the local cloud mine is running"):
        lock_pid_file(settings)

    os.close(held)
    assert (running_pid(settings), settings.pid_file.read_text()) == (None, str(os.getpid()))
    os.close(lock_pid_file(settings))


def test_one_server_at_a_time_holds_a_root(tmp_path):
    first, second = (Settings(name=name, root=tmp_path / "root") for name in ("first", "second"))
    assert not is_root_held(first)

    held = lock_root(first)
    assert is_root_held(second)
    with pytest.raises(BakeError, match="is in use by another local cloud"):
        lock_root(second)

    os.close(held)
    assert not is_root_held(second)
    os.close(lock_root(second))
