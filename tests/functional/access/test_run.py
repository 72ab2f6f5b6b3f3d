"""``dask-bake run``: a command on several nodes over real SSH."""

import json
import os
import signal
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from dask_bake.commands.access.run import RunOptions, run
from dask_bake.errors import BakeError, UsageError
from dask_bake.options.node_words import node_numbers
from dask_bake.view.terminal import Terminal
from fakes import CLOUD
from polling import until


@pytest.fixture
def run_on(nodes):
    def run_on(*words, numbers=None, **options):
        chosen = None if numbers is None else node_numbers(numbers, "NODES")
        return run(RunOptions(words, "taxi", chosen, **options), CLOUD, nodes.ec2, Terminal())

    return run_on


def test_output_has_the_node_s_name_and_the_exit_code_is_the_worst(nodes, run_on, capsys):
    for index, code in enumerate((0, 3, 7)):
        (nodes.folder(index) / "code").write_text(str(code))

    code = run_on("echo out; echo err >&2; exit $(cat code)", every=True)

    shown = capsys.readouterr()
    assert code == 7
    assert sorted(shown.out.splitlines()) == [f"taxi-{index} | out" for index in range(3)]
    assert sorted(shown.err.splitlines()) == [f"taxi-{index} | err" for index in range(3)]


def test_without_nodes_it_is_the_head_and_numbers_choose_others(run_on, capsys):
    assert run_on("pwd") == 0
    assert run_on("pwd", numbers="2") == 0
    assert [line.rpartition("/")[2] for line in capsys.readouterr().out.splitlines()] == ["node-0", "node-2"]


def test_several_words_are_a_command_and_its_arguments(run_on, capsys):
    assert run_on("printf", "%s\\n", "a b", "$HOME") == 0
    assert capsys.readouterr().out == "taxi-0 | a b\ntaxi-0 | $HOME\n"


def test_json_has_the_output_of_each_node(run_on, capsys):
    assert run_on("echo $((6 * 7)); exit 5", numbers="1-", json_output=True) == 5
    document = json.loads(capsys.readouterr().out)
    assert (document["name"], document["exit_code"]) == ("taxi", 5)
    assert document["nodes"] == [
        {
            "index": index,
            "node": f"taxi-{index}",
            "id": f"i-{index}",
            "exit_code": 5,
            "stdout": "42\n",
            "stderr": "",
            "truncated": False,
        }
        for index in (1, 2)
    ]


def test_control_characters_of_a_node_do_not_reach_the_terminal(run_on, capsys):
    assert run_on("printf 'a\\033[2Jb\\tc\\n'") == 0
    assert capsys.readouterr().out == "taxi-0 | a?[2Jb\tc\n"


def test_an_interrupt_ends_the_command_on_the_nodes(nodes, run_on):
    """Also what it has started, and though the command ignores a hang-up."""
    command = "trap '' HUP; echo $$ > pid; sleep 300 & wait"
    pids = [nodes.folder(index) / "pid" for index in range(3)]

    def interrupt():
        until(lambda: all(pid.exists() and pid.read_text().strip() for pid in pids), timeout=60)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        run_on(command, every=True)
    until(lambda: not any(alive(int(pid.read_text())) for pid in pids), timeout=30)


def test_a_command_ends_when_the_connection_is_cut(nodes, run_on):
    pid = nodes.folder(0) / "pid"

    def cut():
        until(lambda: pid.exists() and pid.read_text().strip(), timeout=60)
        for connection in list(nodes.servers[0].connections):
            connection._loop.call_soon_threadsafe(connection.abort)

    threading.Thread(target=cut).start()
    assert run_on("echo $$ > pid; sleep 300") == 255
    until(lambda: not alive(int(pid.read_text())), timeout=30)


def test_a_node_without_a_host_key_fails_alone(nodes, run_on, capsys):
    nodes.ec2.consoles["i-1"] = "still booting"

    assert run_on("echo ok", every=True) == 255

    shown = capsys.readouterr()
    assert sorted(shown.out.splitlines()) == ["taxi-0 | ok", "taxi-2 | ok"]
    assert shown.err == "taxi-1 | node 1 (i-1) has not printed its host key on its console\n"


def test_a_node_that_is_not_there_is_wrong_use_before_any_connection(nodes, run_on):
    with pytest.raises(UsageError, match="cluster taxi has no node 3") as caught:
        run_on("true", numbers="1-4")
    assert caught.value.hint == "its nodes: 0, 1, 2"
    assert nodes.commands() == [[], [], []]


def test_without_the_key_nothing_is_run(nodes, run_on, tmp_path):
    for key in (tmp_path / "state").rglob("id_ed25519"):
        key.unlink()
    with pytest.raises(BakeError, match="the key of cluster taxi is not on this machine"):
        run_on("true", every=True)


def test_a_cluster_that_has_ended_says_so(nodes, run_on):
    nodes.ec2.instances = [replace(node, state="terminated") for node in nodes.ec2.instances]
    with pytest.raises(UsageError, match="cluster taxi"):
        run_on("true")


def alive(pid: int) -> bool:
    """Return whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
