"""The local cloud is known by its lock and its key pair, not by whoever listens at its port."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from werkzeug.wrappers import Request, Response

from dask_bake.commands.local import doctor
from dask_bake.errors import BakeError, UsageError
from dask_bake.local import control
from dask_bake.local.admin_client import PROOF_HEADER
from dask_bake.local.cleanup import end_server, is_server
from dask_bake.local.control import Finding, LocalEndpoint, LocalStatus, endpoint, status
from dask_bake.local.credentials import Credentials, make_credentials, owner_uid, read_credentials
from dask_bake.local.pidfile import lock_pid_file, running_pid
from dask_bake.local.settings import Settings
from dask_bake.local.signature import proof
from dask_bake.view.terminal import Terminal
from fake_local_cloud import listening_at
from isolation import KEY_PAIR

HOLD_LOCK = """
import signal
import sys
from pathlib import Path
from dask_bake.local import pidfile, settings
settings.RUNTIMES = Path(sys.argv[1])
pidfile.lock_pid_file(settings.Settings("test"))
if "deaf" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("locked", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def settings(tmp_path, monkeypatch) -> Settings:
    monkeypatch.setattr("dask_bake.local.settings.RUNTIMES", tmp_path)
    return Settings("test", tmp_path / "root")


@contextmanager
def lock_held(settings: Settings, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """Have another process, with these arguments at its end, hold the lock of the server."""
    command = [sys.executable, "-c", HOLD_LOCK, str(settings.runtime.parent), *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        try:
            yield process
        finally:
            process.kill()


@dataclass
class LocalServer:
    """A listener that answers every request with one text, proved with its key pair, if it has one."""

    text: str
    credentials: Credentials | None

    def __call__(self, environ, start_response):
        response = Response(self.text, mimetype="application/json")
        if self.credentials is not None:
            signed = Request(environ).headers.get("Authorization", "")
            response.headers[PROOF_HEADER] = proof(self.credentials, signed, self.text.encode())
        return response(environ, start_response)


def answer(settings: Settings, *, pid: int = 7, name: str = "test", root: str = "") -> str:
    return (
        f'{{"name": "{name}", "pid": {pid}, "url": "{settings.url}", "block": "10.0.0.0/20", "images": 1,'
        f' "instances": 2, "root": "{root or settings.root}"}}'
    )


def at(settings: Settings, url: str) -> Settings:
    return Settings(settings.name, settings.root, int(url.rpartition(":")[2]))


def test_the_status_of_a_running_local_cloud_is_read_and_its_pid_is_the_lock_s(settings):
    with lock_held(settings) as server:
        credentials = make_credentials(settings, -1)
        with listening_at(LocalServer(answer(settings), credentials)) as url:
            assert status(at(settings, url)) == LocalStatus(
                server.pid, settings.url, "10.0.0.0/20", 1, 2, str(settings.root)
            )
            assert endpoint(at(settings, url)) == LocalEndpoint(url, credentials)


@pytest.mark.parametrize("key", [None, KEY_PAIR])
@pytest.mark.parametrize("is_up", [True, False])
def test_another_listener_at_the_port_is_not_believed(settings, key, is_up):
    """It says everything that the local cloud would, and does not have the key pair."""
    with listening_at(LocalServer(answer(settings), key)) as url:
        if not is_up:
            assert status(at(settings, url)) is None
            return
        with lock_held(settings):
            make_credentials(settings, -1)
            assert status(at(settings, url)) is None
            assert endpoint(at(settings, url)) is None


def test_a_process_that_another_listener_names_gets_no_signal(settings):
    """The listener has even the local cloud's key pair."""
    with (
        subprocess.Popen(
            [sys.executable, "-c", "input()", "-m", "dask_bake.local.server"], stdin=-1
        ) as victim,
        listening_at(LocalServer(answer(settings, pid=victim.pid), KEY_PAIR)) as url,
    ):
        here = at(settings, url)
        assert status(here) is None
        end_server(here, timeout=1)

        with lock_held(settings) as other:
            with pytest.raises(BakeError, match=f"is locked by process {other.pid}, which is not the local"):
                end_server(here, timeout=1)
            assert other.poll() is None

        settings.pid_file.write_text(str(victim.pid))  # nobody holds the lock now
        end_server(here, timeout=1)
        assert victim.poll() is None
        victim.kill()


@pytest.mark.parametrize(
    ("word", "timeout", "code"), [("-m", 10, -signal.SIGTERM), ("deaf", 0.1, -signal.SIGKILL)]
)
def test_the_server_that_holds_the_lock_gets_sigterm_and_then_sigkill(settings, word, timeout, code):
    with lock_held(settings, word, "dask_bake.local.server") as server:
        assert is_server(server.pid)
        end_server(settings, timeout=timeout)
        assert server.wait(10) == code

    assert running_pid(settings) is None


@pytest.mark.parametrize(("name", "root"), [("second", ""), ("test", "/srv/other")])
def test_the_status_is_that_of_the_local_cloud_with_the_same_name_and_root(settings, name, root):
    with lock_held(settings):
        key = make_credentials(settings, -1)
        with listening_at(LocalServer(answer(settings, name=name, root=root), key)) as url:
            assert status(at(settings, url)) is None


@pytest.mark.parametrize("text", ["<html>hello</html>", "", "nonsense"])
def test_another_program_at_the_port_is_not_a_local_cloud(settings, text):
    with lock_held(settings), listening_at(LocalServer(text, None)) as url:
        make_credentials(settings, -1)
        assert status(at(settings, url)) is None


def test_the_lock_and_the_key_pair_are_readable_by_their_owner_alone(settings):
    lock_pid_file(settings)
    made = make_credentials(settings, -1)

    assert read_credentials(settings) == made
    assert [file.stat().st_mode & 0o777 for file in (settings.pid_file, settings.credentials_file)] == [
        0o600,
        0o600,
    ]
    assert (made.access_key[:10], len(made.access_key)) == ("LOCALCLOUD", 20)
    assert make_credentials(settings, -1) != made
    assert made.secret_key not in repr(made)


@contextmanager
def as_another_user() -> Iterator[None]:
    """Without root's privileges; a user without root has none anyway."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("look", [status, endpoint, running_pid, read_credentials])
def test_another_user_s_local_cloud_is_a_usage_error(settings, look):
    os.close(lock_pid_file(settings))
    make_credentials(settings, -1)
    for file in (settings.pid_file, settings.credentials_file):
        file.chmod(0)

    with as_another_user(), pytest.raises(UsageError) as caught:
        look(settings)

    assert caught.value.message == "the local cloud test belongs to another user of this machine"
    assert caught.value.hint == (
        "run one of your own: set DASK_BAKE_LOCAL_NAME, DASK_BAKE_LOCAL_PORT and DASK_BAKE_LOCAL_ROOT"
    )


def test_a_server_that_sudo_started_belongs_to_the_caller_of_sudo():
    is_root = os.geteuid() == 0
    assert owner_uid({"SUDO_UID": "1000"}) == (1000 if is_root else os.geteuid())
    assert owner_uid({"SUDO_UID": "-1"}) == owner_uid({}) == os.geteuid()


def test_without_a_server_there_are_no_credentials(settings):
    with pytest.raises(BakeError) as caught:
        read_credentials(settings)

    assert (caught.value.message, caught.value.hint) == (
        "the local cloud test is not running",
        "start it with dask-bake local up",
    )
    assert not isinstance(caught.value, UsageError)


def test_doctor_names_what_instances_need_of_the_kernel(monkeypatch):
    monkeypatch.setattr(control, "missing_namespaces", lambda: ("user namespaces", "sysctl …"))

    assert Finding("missing", "user namespaces", "sysctl …") in control._missing()


def test_doctor_notes_where_instances_share_their_users(monkeypatch, capsys, tmp_path):
    """The local cloud works there all the same, so the exit code is 0; a leftover beside it makes it 1."""
    monkeypatch.setattr(control, "can_map", lambda _: False)
    (note,) = control._weaker(Settings(root=tmp_path))
    assert (note.kind, str(tmp_path) in note.what, "Linux 5.19" in note.remedy) == (control.NOTE, True, True)

    for others, code in ((), 0), ((Finding("left over", "process 7", "dask-bake local down"),), 1):
        monkeypatch.setattr(control, "doctor", lambda others=others: (note, *others))
        assert doctor(Terminal(), json_output=False) == code
        assert "note: all instances have the same users of this machine" in capsys.readouterr().out


def test_doctor_notes_nothing_where_layers_can_be_mapped(monkeypatch, tmp_path):
    monkeypatch.setattr(control, "can_map", lambda _: True)

    assert control._weaker(Settings(root=tmp_path)) == ()
