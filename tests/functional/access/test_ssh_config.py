"""``dask-bake ssh-config``: the user's own ssh reaches every node."""

import json
import subprocess

import pytest

from dask_bake.commands.access.ssh_config import SshConfigOptions, remove, run
from dask_bake.errors import BakeError, UsageError
from dask_bake.ssh.connect import local_keystore
from dask_bake.view.terminal import Terminal
from fakes import CLOUD


@pytest.fixture
def config(tmp_path):
    return tmp_path / "home/.ssh/config"


@pytest.fixture
def ssh_config(nodes, config):
    def ssh_config(**options):
        return run(SshConfigOptions("taxi", **options), CLOUD, nodes.ec2, Terminal(), config=config)

    return ssh_config


def ssh(config, *words):
    command = ["ssh", "-F", str(config), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_written_entries_reach_the_head_and_a_worker_behind_it(nodes, ssh_config, config):
    config.parent.mkdir(parents=True)
    config.write_text("Host *\n  User nobody\n")

    assert ssh_config(write=True, asks=False) == 0
    assert ssh_config(write=True) == 0  # it is included already, so nothing is asked

    for index, name in ((0, "taxi"), (1, "taxi-1")):
        done = ssh(config, name, "pwd")
        assert (done.stdout.strip(), done.returncode) == (str(nodes.folder(index)), 0), done.stderr


def test_a_host_key_that_is_not_the_node_s_is_refused(nodes, ssh_config, config):
    ssh_config(write=True, asks=False)
    known = local_keystore(nodes.cluster, CLOUD).known_hosts
    lines = [line.split(" ") for line in known.read_text().splitlines()]
    known.write_text(
        "".join(f"{line[0]} {lines[-1 - at][1]} {lines[-1 - at][2]}\n" for at, line in enumerate(lines))
    )
    done = ssh(config, "taxi", "pwd")
    assert (done.returncode, done.stdout) == (255, "")
    assert nodes.commands() == [[], [], []]


def test_without_write_the_entries_are_printed_and_nothing_is_changed(ssh_config, config, tmp_path, capsys):
    assert ssh_config() == 0
    printed = tmp_path / "printed"
    printed.write_text(capsys.readouterr().out)
    assert not config.exists()
    assert ssh(printed, "taxi-2", "pwd").returncode == 0


def test_it_asks_before_it_writes_and_without_a_terminal_it_refuses(ssh_config, config):
    with pytest.raises(UsageError, match="no terminal to confirm it on"):
        ssh_config(write=True)
    assert not config.exists()


def test_a_node_without_a_host_key_is_left_out(nodes, ssh_config, capsys):
    nodes.ec2.consoles["i-2"] = ""
    assert ssh_config(json_output=True) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)["hosts"] == ["taxi", "taxi-0", "taxi-1"]
    assert "Node 2 is left out" in shown.err


def test_remove_takes_everything_out_with_the_last_cluster(nodes, ssh_config, config, capsys):
    config.parent.mkdir(parents=True)
    config.write_text("Host *\n  User nobody\n")
    ssh_config(write=True, asks=False)

    remove("other", Terminal(), json_output=False, config=config)
    entries = local_keystore(nodes.cluster, CLOUD).ssh_config
    assert entries.exists()
    capsys.readouterr()
    assert remove("taxi", Terminal(), json_output=True, config=config) == 0

    assert json.loads(capsys.readouterr().out) == {"removed": [str(entries)], "excluded": True}
    assert (config.read_text(), entries.exists()) == ("Host *\n  User nobody\n", False)


def test_without_the_key_it_is_one_sentence(nodes, ssh_config):
    local_keystore(nodes.cluster, CLOUD).key.unlink()
    with pytest.raises(BakeError, match="the key of cluster taxi is not on this machine"):
        ssh_config(write=True, asks=False)
