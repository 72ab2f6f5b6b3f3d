"""The ssh command lines, the keystore' folder, and a tunnel that lives as long as its ssh."""

import os
import shlex
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from dask_bake.errors import BakeError
from dask_bake.ssh.command import Forward, host, run_shell, shell_command, ssh_command, tunnel_command
from dask_bake.ssh.head_connection import SshHeadConnection, get_json, workers_per_host
from dask_bake.ssh.host_keys import host_key_from_console
from dask_bake.ssh.keystore import Keys, Keystore, keystore_of, new_key
from dask_bake.ssh.tunnel import Tunnel, free_port, is_ssh_server
from fakes import CLOUD, CONSOLE, HOST_KEY, a_cluster

SECRETS = Keystore(Path("/state/aws-us-east-1-dask"), "launch1")
CLUSTER = a_cluster()


def common(alias, folder="/state/aws-us-east-1-dask"):
    return [
        *("ssh", "-F", "none", "-l", "admin", "-o", f'IdentityFile="{folder}/id_ed25519"'),
        *("-o", f'UserKnownHostsFile="{folder}/known_hosts"', "-o", "GlobalKnownHostsFile=/dev/null"),
        *("-o", f"HostKeyAlias={alias}", "-o", "StrictHostKeyChecking=yes", "-o", "UpdateHostKeys=no"),
        *("-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-o", "BatchMode=yes"),
        *("-o", "ControlPath=none", "-o", "ConnectTimeout=10", "-o", "ServerAliveInterval=15"),
        *("-o", "LogLevel=ERROR"),
    ]


HEAD = common("dask-bake-launch1-0")


def test_the_head_is_entered_directly_with_a_terminal():
    command = shell_command(host(CLUSTER, CLUSTER.nodes[0], SECRETS), (), is_terminal=True)

    assert command == [*HEAD, "-t", "10.0.0.4"]


def test_a_worker_is_entered_through_the_head_with_the_same_rules():
    command = shell_command(host(CLUSTER, CLUSTER.nodes[2], SECRETS), (), is_terminal=True)

    through = shlex.join([*HEAD, "-W", "[10.0.0.6]:22", "10.0.0.4"])
    assert command == [*common("dask-bake-launch1-2"), "-o", f"ProxyCommand={through}", "-t", "10.0.0.6"]


@pytest.mark.parametrize(
    ("words", "remote"),
    [(["hostname"], "hostname"), (["cd /tmp && ls"], "cd /tmp && ls"), (["echo", "a b"], "echo 'a b'")],
)
def test_one_word_is_a_shells_line_and_several_are_kept_apart(words, remote):
    command = shell_command(host(CLUSTER, CLUSTER.nodes[0], SECRETS), words, is_terminal=True)

    assert command == [*HEAD, "-T", "10.0.0.4", remote]


def test_a_tunnel_forwards_ports_of_this_machine_only_and_fails_if_it_cannot():
    command = tunnel_command(host(CLUSTER, CLUSTER.nodes[0], SECRETS), [Forward(5000, 8787)])

    assert command == [
        *HEAD,
        *("-L", "127.0.0.1:5000:127.0.0.1:8787"),
        *("-N", "-T", "-o", "ExitOnForwardFailure=yes", "10.0.0.4"),
    ]


def test_a_folder_with_odd_characters_stays_one_word_to_ssh(tmp_path):
    keystore = Keystore(tmp_path / "a %h b", "launch1")
    command = ssh_command(host(CLUSTER, CLUSTER.nodes[0], keystore))

    shown = subprocess.run(
        [*command[:1], "-G", *command[1:]], capture_output=True, text=True, check=True
    ).stdout
    assert f"userknownhostsfile {tmp_path}/a %h b/known_hosts" in shown.splitlines()
    assert f"identityfile {tmp_path}/a %%h b/id_ed25519" in shown.splitlines()


def test_run_shell_becomes_ssh():
    became = []
    run_shell(["ssh", "x"], lambda name, words: became.append((name, words)))

    assert became == [("ssh", ["ssh", "x"])]


def test_a_machine_without_ssh_is_told_so():
    with pytest.raises(BakeError, match="there is no ssh on this machine"):
        run_shell(["no-such-program-here"])


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (CONSOLE, HOST_KEY),
        (CONSOLE + CONSOLE.replace("Host", "Other"), HOST_KEY.replace("Host", "Other")),
        (CONSOLE.replace("\n", "\r\n"), HOST_KEY),
        (CONSOLE.replace("ssh-ed25519", "[   3.1] unit[1]: ssh-ed25519"), HOST_KEY),
        (CONSOLE + "-----BEGIN SSH HOST KEY KEYS-----\nssh-ed25519 AAAAPart", HOST_KEY),
        (CONSOLE.split("-----END", maxsplit=1)[0], None),
        ("-----BEGIN SSH HOST KEY KEYS-----\nssh-rsa AAAA x\n-----END SSH HOST KEY KEYS-----\n", None),
        ("booting\n", None),
        ("", None),
    ],
)
def test_the_host_key_is_that_of_the_last_complete_block(text, key):
    assert host_key_from_console(text) == key


def test_secrets_are_private_and_a_later_clusters_take_their_place(tmp_path):
    folder = tmp_path / "dask-bake" / "aws-us-east-1-dask"
    (folder / "old").mkdir(parents=True)
    keystore = keystore_of(CLOUD, "dask", "launch1", {"XDG_STATE_HOME": str(tmp_path)})

    keystore.write(Keys(new_key("dask-bake dask")))

    assert keystore.folder == folder
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()} == {
        "id_ed25519": 0o600,
        "id_ed25519.pub": 0o600,
    }
    keystore.delete()
    assert not folder.exists()


def test_the_key_is_one_that_ssh_takes(tmp_path):
    keystore, pair = Keystore(tmp_path / "keystore", "launch1"), new_key("dask-bake dask")
    keystore.write(Keys(pair))

    shown = subprocess.run(
        ["ssh-keygen", "-y", "-f", keystore.key], capture_output=True, text=True, check=True
    ).stdout

    assert shown.split()[:2] == pair.public.split()[:2]
    assert pair.public.endswith(" dask-bake dask")


def test_a_host_key_is_pinned_for_one_node_of_one_launch(tmp_path):
    keystore = Keystore(tmp_path, "launch1")
    head, worker, _ = CLUSTER.nodes

    keystore.pin(head, HOST_KEY)

    assert keystore.known_hosts.read_text() == f"dask-bake-launch1-0 {HOST_KEY}\n"
    assert [keystore.is_pinned(head), keystore.is_pinned(worker)] == [True, False]
    assert not Keystore(tmp_path, "launch2").is_pinned(head)


def test_secrets_that_cannot_be_kept_are_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(BakeError, match="the cluster's key could not be kept"):
        Keystore(tmp_path / "file" / "dask", "launch1").write(Keys(new_key("x")))


FAKE_SSH = """#!{python}
import socket, sys
if "{mode}" == "fail":
    sys.exit("Host key verification failed.")
port = int(sys.argv[sys.argv.index("-L") + 1].split(":")[1])
with socket.create_server(("127.0.0.1", port)) as server:
    while True:
        server.accept()[0].close()
"""


@pytest.fixture
def fake_ssh(tmp_path, monkeypatch):
    def install(mode):
        path = tmp_path / "bin" / "ssh"
        path.parent.mkdir(exist_ok=True)
        path.write_text(FAKE_SSH.format(python=sys.executable, mode=mode))
        path.chmod(0o755)
        monkeypatch.setenv("PATH", f"{path.parent}:{os.environ['PATH']}")

    return install


def a_tunnel(*, answers=True):
    return Tunnel(
        host(CLUSTER, CLUSTER.nodes[0], SECRETS), [Forward(free_port(), 8787)], answers=lambda _: answers
    )


def test_a_tunnel_is_up_when_its_ports_are_open_and_ends_with_its_block(fake_ssh):
    fake_ssh("listen")
    with a_tunnel() as tunnel:
        tunnel.wait(10)
        port = tunnel.forwards[0].local_port
        assert tunnel.advance()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_a_tunnel_whose_ssh_ended_starts_another(fake_ssh):
    fake_ssh("listen")
    with a_tunnel() as tunnel:
        tunnel.wait(10)
        tunnel._process.kill()
        tunnel._process.wait()
        tunnel.wait(10)
        assert tunnel.advance()


def test_a_tunnel_that_cannot_be_says_what_ssh_said(fake_ssh):
    fake_ssh("fail")
    with a_tunnel() as tunnel, pytest.raises(BakeError, match="Host key verification failed"):
        tunnel.wait(1.0)


def test_ssh_is_not_started_before_the_other_side_answers(fake_ssh):
    fake_ssh("listen")
    with a_tunnel(answers=False) as tunnel:
        assert not tunnel.advance()
        assert tunnel._process is None
        assert tunnel.trouble == "nothing answers at 10.0.0.4 port 22"


@pytest.mark.parametrize(
    ("greeting", "answers"), [(b"SSH-2.0-OpenSSH\r\n", True), (b"HTTP/1.1 400\r\n", False)]
)
def test_only_an_ssh_server_is_an_answer(greeting, answers):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet():
            with server.accept()[0] as connection:
                connection.sendall(greeting)

        thread = threading.Thread(target=greet)
        thread.start()
        assert is_ssh_server("127.0.0.1", server.getsockname()[1]) is answers
        thread.join()


def test_nothing_that_listens_is_no_answer():
    assert not is_ssh_server("127.0.0.1", free_port())
    assert get_json(free_port(), "/json/counts.json") is None


def test_a_port_that_is_taken_is_replaced_by_a_free_one():
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        assert free_port(taken) not in (0, taken)


def test_worker_processes_are_counted_per_host():
    identity = {
        "workers": {"tcp://10.0.0.5:1": {"host": "10.0.0.5"}, "tcp://10.0.0.5:2": {"host": "10.0.0.5"}}
    }

    assert workers_per_host(identity) == {"10.0.0.5": 2}


def test_a_way_in_that_is_not_up_yet_knows_no_workers(tmp_path):
    connection = SshHeadConnection(Keystore(tmp_path / "keystore", "launch1"), Keys(new_key("x")))
    connection.prepare()
    connection.pin(CLUSTER.nodes[0], HOST_KEY)

    assert connection.is_pinned(CLUSTER.nodes[0])
    connection.forget()
    assert not (tmp_path / "keystore").exists()
