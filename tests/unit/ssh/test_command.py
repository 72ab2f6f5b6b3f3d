"""Exact ssh command lines."""

import shlex
import subprocess
from pathlib import Path

import pytest

from dask_bake.errors import BakeError
from dask_bake.ssh.command import Forward, host, run_shell, shell_command, ssh_command, tunnel_command
from dask_bake.ssh.keystore import Keystore
from fakes import a_cluster

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


def test_the_head_is_reached_directly_with_a_terminal():
    command = shell_command(host(CLUSTER, CLUSTER.nodes[0], SECRETS), (), is_terminal=True)

    assert command == [*HEAD, "-t", "10.0.0.4"]


def test_a_worker_is_reached_through_the_head_with_the_same_ssh_options():
    command = shell_command(host(CLUSTER, CLUSTER.nodes[2], SECRETS), (), is_terminal=True)

    through = shlex.join([*HEAD, "-W", "[10.0.0.6]:22", "10.0.0.4"])
    assert command == [*common("dask-bake-launch1-2"), "-o", f"ProxyCommand={through}", "-t", "10.0.0.6"]


@pytest.mark.parametrize(
    ("words", "remote"),
    [(["hostname"], "hostname"), (["cd /tmp && ls"], "cd /tmp && ls"), (["echo", "a b"], "echo 'a b'")],
)
def test_one_argument_is_a_shell_command_and_several_are_quoted(words, remote):
    command = shell_command(host(CLUSTER, CLUSTER.nodes[0], SECRETS), words, is_terminal=True)

    assert command == [*HEAD, "-T", "10.0.0.4", remote]


def test_a_tunnel_listens_on_loopback_only_and_ends_if_a_port_cannot_be_forwarded():
    command = tunnel_command(host(CLUSTER, CLUSTER.nodes[0], SECRETS), [Forward(5000, 8787)])

    assert command == [
        *HEAD,
        *("-L", "127.0.0.1:5000:127.0.0.1:8787"),
        *("-N", "-T", "-o", "ExitOnForwardFailure=yes", "-o", "StreamLocalBindUnlink=yes", "10.0.0.4"),
    ]


def test_a_forwarded_socket_is_named_by_its_path():
    reached = host(CLUSTER, CLUSTER.nodes[0], SECRETS)

    command = tunnel_command(reached, [Forward(Path("/run/user/1000/dask-bake-x/8787"), 8787)])

    assert command[command.index("-L") + 1] == "/run/user/1000/dask-bake-x/8787:127.0.0.1:8787"


def test_a_folder_name_with_special_characters_reaches_ssh_unchanged(tmp_path):
    keystore = Keystore(tmp_path / "a %h b", "launch1")
    command = ssh_command(host(CLUSTER, CLUSTER.nodes[0], keystore))

    shown = subprocess.run(
        [*command[:1], "-G", *command[1:]], capture_output=True, text=True, check=True
    ).stdout
    assert f"userknownhostsfile {tmp_path}/a %h b/known_hosts" in shown.splitlines()
    assert f"identityfile {tmp_path}/a %%h b/id_ed25519" in shown.splitlines()


def test_run_shell_replaces_the_process_by_ssh():
    became = []
    run_shell(["ssh", "x"], lambda name, words: became.append((name, words)))

    assert became == [("ssh", ["ssh", "x"])]


def test_without_ssh_on_this_machine_there_is_an_error():
    with pytest.raises(BakeError, match="there is no ssh on this machine"):
        run_shell(["no-such-program-here"])
