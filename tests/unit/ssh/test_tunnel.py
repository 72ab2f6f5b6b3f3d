"""A tunnel lives as long as its ssh, and opens only when the head answers."""

import os
import re
import socket
import stat
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from dask_bake.errors import BakeError
from dask_bake.ssh.command import Forward, host
from dask_bake.ssh.keystore import Keystore
from dask_bake.ssh.tunnel import Tunnel, is_private, is_ssh_server, private_socket
from fakes import a_cluster
from ports import free_port

SECRETS = Keystore(Path("/state/aws-us-east-1-dask"), "launch1")
CLUSTER = a_cluster()
FAKE_SSH = """#!{python}
import os, socket, sys
if {complaints!r}:
    sys.exit({complaints!r})
path = sys.argv[sys.argv.index("-L") + 1].split(":")[0]
if os.path.exists(path):
    os.unlink(path)
with socket.socket(socket.AF_UNIX) as server:
    server.bind(path)
    server.listen()
    while True:
        server.accept()[0].close()
"""


@pytest.fixture
def fake_ssh(tmp_path, monkeypatch):
    def install(complaints=""):
        path = tmp_path / "bin" / "ssh"
        path.parent.mkdir(exist_ok=True)
        path.write_text(FAKE_SSH.format(python=sys.executable, complaints=complaints))
        path.chmod(0o755)
        monkeypatch.setenv("PATH", f"{path.parent}:{os.environ['PATH']}")

    return install


def a_tunnel(*, answers=True):
    return Tunnel(
        host(CLUSTER, CLUSTER.nodes[0], SECRETS),
        [Forward(private_socket(8787), 8787)],
        answers=lambda _: answers,
    )


def test_a_tunnel_is_ready_when_its_ports_are_open_and_closes_with_its_with_block(fake_ssh):
    fake_ssh()
    with a_tunnel() as tunnel:
        tunnel.wait(60)
        path = tunnel.forwards[0].local
        assert tunnel.advance()
        assert path.parent.stat().st_mode & 0o777 == 0o700
    assert not path.parent.exists()


def test_if_ssh_has_ended_the_tunnel_starts_it_again(fake_ssh):
    fake_ssh()
    with a_tunnel() as tunnel:
        tunnel.wait(60)
        tunnel._process.kill()
        tunnel._process.wait()
        tunnel.wait(60)
        assert tunnel.advance()


@pytest.mark.parametrize(
    ("complaints", "trouble"),
    [
        ("Warning: slow\nHost key verification failed.", "Host key verification failed."),
        # The proxy command's, after ssh has closed its pipe.
        (
            "Host key verification failed.\nBrokenPipeError: [Errno 32] Broken pipe",
            "Host key verification failed.",
        ),
        (
            "admin@10.0.0.4: Permission denied (publickey).\nBroken pipe",
            "admin@10.0.0.4: Permission denied (publickey).",
        ),
        # The proxy command's, before ssh notices that it has ended.
        ("AccessDenied: you may not\nConnection closed by UNKNOWN port 65535", "AccessDenied: you may not"),
        ("Connection closed by 10.0.0.4 port 22", "Connection closed by 10.0.0.4 port 22"),
    ],
)
def test_a_tunnel_that_fails_has_the_message_of_ssh_or_its_proxy(fake_ssh, complaints, trouble):
    fake_ssh(complaints)
    with a_tunnel() as tunnel, pytest.raises(BakeError, match=f"within 9 s: {re.escape(trouble)}$"):
        tunnel.wait(9, clock=lambda: 10.0 if tunnel.trouble else 0.0)


def test_ssh_is_not_started_before_port_22_answers(fake_ssh):
    fake_ssh()
    with a_tunnel(answers=False) as tunnel:
        assert not tunnel.advance()
        assert tunnel._process is None
        assert tunnel.trouble == "nothing answers at 10.0.0.4 port 22"


@pytest.mark.parametrize(
    ("greeting", "answers"), [(b"SSH-2.0-OpenSSH\r\n", True), (b"HTTP/1.1 400\r\n", False)]
)
def test_only_an_ssh_greeting_counts_as_an_ssh_server(greeting, answers):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet():
            with server.accept()[0] as connection:
                connection.sendall(greeting)

        thread = threading.Thread(target=greet)
        thread.start()
        assert is_ssh_server("127.0.0.1", server.getsockname()[1]) is answers
        thread.join()


def test_a_closed_port_is_no_ssh_server():
    assert not is_ssh_server("127.0.0.1", free_port())


def test_a_private_socket_is_in_the_runtime_folder_where_that_can_be_used(tmp_path, monkeypatch):
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        path = private_socket(8787, {"XDG_RUNTIME_DIR": short})
        assert (path.parent.parent, path.name) == (Path(short), "8787")
        assert path.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("folder", ["", "relative", "/nowhere", "/tmp/a b", "/tmp/%h", "/tmp/" + "x" * 80])
def test_a_folder_that_cannot_have_the_socket_is_not_used(folder):
    path = private_socket(8787, {"XDG_RUNTIME_DIR": folder})
    path.parent.rmdir()

    assert str(path).startswith(f"{tempfile.gettempdir()}/dask-bake-")
    assert len(str(path)) < 104


@pytest.mark.parametrize(("mode", "is_used"), [(0o700, True), (0o755, True), (0o777, False), (0o1777, True)])
def test_a_folder_in_which_others_can_rename_is_not_used(mode, is_used):
    with tempfile.TemporaryDirectory(dir="/tmp") as shared:
        Path(shared).chmod(mode)
        path = private_socket(8787, {"XDG_RUNTIME_DIR": shared})
        path.parent.rmdir()
        assert (path.parent.parent == Path(shared)) is is_used


def test_sockets_of_a_killed_process_are_removed_by_the_next_one():
    """Only its own: those of this process, and others' folders with such names, stay."""
    with tempfile.TemporaryDirectory(dir="/tmp") as shared:
        environ = {"XDG_RUNTIME_DIR": shared}
        script = f"from dask_bake.ssh.tunnel import private_socket; private_socket(8787, {environ})"
        subprocess.run([sys.executable, "-c", script], check=True)
        (killed,) = Path(shared).iterdir()
        (killed / "8787").touch()
        foreign = Path(shared, "dask-bake-notes")
        foreign.mkdir()
        (Path(shared) / "dask-bake-1-link").symlink_to(foreign)

        mine = private_socket(8787, environ).parent
        private_socket(8786, environ)

        assert not killed.exists()
        assert mine.exists()
        assert foreign.exists()


def test_a_socket_that_answers_stays_although_its_process_is_not_seen_here():
    """As in a container that shares the folder."""
    with tempfile.TemporaryDirectory(dir="/tmp") as shared, socket.socket(socket.AF_UNIX) as server:
        folder = Path(shared, "dask-bake-999999999-abc")
        folder.mkdir()
        server.bind(str(folder / "8787"))
        server.listen()

        private_socket(8787, {"XDG_RUNTIME_DIR": shared})

        assert folder.exists()


@pytest.mark.parametrize(("owner", "is_kept"), [(0, True), (None, True), (1, False)])
def test_the_owner_of_a_folder_for_everybody_can_rename_in_it(owner, is_kept):
    mode = stat.S_IFDIR | 0o1777
    owner = os.geteuid() if owner is None else owner

    assert is_private(os.stat_result((mode, 0, 0, 0, owner, 0, 0, 0, 0, 0))) is is_kept


def test_a_folder_of_sockets_that_vanishes_meanwhile_keeps_no_other_from_being_made(monkeypatch):
    """Another process may end, and remove its sockets, between a look into the folder and a look at it."""
    monkeypatch.setattr(Path, "glob", lambda folder, _: iter([folder / "dask-bake-1-gone"]))
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        assert private_socket(8786, {"XDG_RUNTIME_DIR": short}).parent.parent == Path(short)
