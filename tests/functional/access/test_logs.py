"""``dask-bake logs``: journals of several nodes, followed, saved, and kept by ``down``."""

import json
import os
import signal
import tarfile
import threading
from dataclasses import replace

import pytest

from dask_bake.access.records import Source
from dask_bake.cli.main import run as cli
from dask_bake.commands.access.logs import LogsOptions, run, show_ended
from dask_bake.commands.clusters import Ending, down
from dask_bake.errors import NoClusterError
from dask_bake.options.node_words import node_numbers
from dask_bake.view.terminal import Terminal
from fakes import CLOUD
from polling import until
from ssh_nodes import pretended_nodes

PROGRAMS = {
    "sudo": 'shift; exec "$@"',
    "journalctl": 'echo "$@" >> "$HOME/asked"; case "$*" in *--follow*) exec tail -n +1 -f "$HOME/journal";; '
    '*) cat "$HOME/journal";; esac',
    "free": "echo token=fedcba9876543210",
}


@pytest.fixture
def nodes(tmp_path, monkeypatch):
    with pretended_nodes(tmp_path, monkeypatch, PROGRAMS) as nodes:
        for index in range(3):
            entry(nodes, index, 10.0 - index, f"from {index}")
        yield nodes


def entry(nodes, index, time, text, unit="dask-worker.service"):
    """Write an entry into the journal of a node."""
    fields = {"__REALTIME_TIMESTAMP": str(int(time * 1e6)), "MESSAGE": text, "_SYSTEMD_UNIT": unit}
    with (nodes.folder(index) / "journal").open("a") as journal:
        journal.write(json.dumps(fields) + "\n")


@pytest.fixture
def logs(nodes):
    def logs(**options):
        return run(LogsOptions("taxi", **options), CLOUD, nodes.ec2, Terminal())

    return logs


def test_journals_of_all_nodes_are_merged_by_time_with_node_and_source(nodes, logs, capsys):
    entry(nodes, 0, 9.5, "a stage", "cloud-final.service")
    assert logs(since=600) == 0
    assert capsys.readouterr().out == (
        "01-01 00:00:08 taxi-2 dask       | from 2\n"
        "01-01 00:00:09 taxi-1 dask       | from 1\n"
        "01-01 00:00:09 taxi-0 cloud-init | a stage\n"
        "01-01 00:00:10 taxi-0 dask       | from 0\n"
    )
    assert "--since=-600s" in (nodes.folder(1) / "asked").read_text()


def test_of_a_node_that_is_still_booting_the_console_is_shown(nodes, logs, capsys):
    nodes.ec2.consoles["i-1"] = "[    1.0] stuck here\n"
    assert logs(numbers=node_numbers("1", "NODES")) == 0
    shown = capsys.readouterr()
    assert shown.out.endswith("taxi-1 console    | [    1.0] stuck here\n")
    assert "taxi-1 has no journal to read, so this is its console: node 1 (i-1) has not printed" in shown.err


def test_lines_are_followed_until_an_interrupt(nodes, logs, capsys):
    nodes_seen = []

    def write_and_interrupt():
        until(lambda: all((nodes.folder(index) / "asked").exists() for index in (1, 2)), timeout=90)
        entry(nodes, 2, 20.0, "late")
        until(lambda: "late" in "".join(nodes_seen), timeout=90)
        os.kill(os.getpid(), signal.SIGINT)

    terminal = Terminal()
    write = terminal.write_line
    terminal.write_line = lambda text, **options: (nodes_seen.append(text), write(text, **options))
    threading.Thread(target=write_and_interrupt).start()
    options = LogsOptions("taxi", node_numbers("1-", "NODES"), follow=True)
    assert run(options, CLOUD, nodes.ec2, terminal) == 0
    assert [line.rpartition("| ")[2] for line in nodes_seen] == ["from 2", "from 1", "late"]


def test_a_bundle_has_journals_consoles_and_facts_without_secrets(nodes, logs, tmp_path):
    entry(nodes, 1, 9.0, "AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY")
    path = tmp_path / "bug.tar.gz"
    assert logs(save=path) == 0
    with tarfile.open(path) as archive:
        texts = {name: archive.extractfile(name).read().decode() for name in archive.getnames()}
    assert {
        f"bug/taxi-{index}/{kind}.txt" for index in range(3) for kind in ("dask", "console", "facts")
    } <= set(texts)
    everything = "".join(texts.values())
    assert "wJalrXUtnFEMI" not in everything
    assert "fedcba9876543210" not in everything
    assert "$ uptime" in texts["bug/taxi-2/facts.txt"]


def test_down_keeps_the_logs_and_logs_shows_them_afterwards(nodes, logs, capsys):
    ending = Ending()
    assert down(CLOUD, nodes.ec2, Terminal(), ending, name="taxi", asks=False, json_output=False) == 0
    capsys.readouterr()

    with pytest.raises(NoClusterError) as caught:
        logs()
    assert "dask-bake logs taxi --ended" in caught.value.hint.replace("\0", "")
    assert show_ended(LogsOptions("taxi", sources=tuple(Source)), Terminal()) == 0
    assert "| " in capsys.readouterr().out
    assert cli(["logs", "taxi", "--ended", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["node"] in range(3)


def test_the_console_of_a_node_that_is_gone_is_shown(nodes, logs, capsys):
    head, first, second = nodes.ec2.instances
    nodes.ec2.instances = [head, first, replace(second, state="terminated")]
    nodes.ec2.consoles["i-2"] = "Out of memory: Killed process 7 (python)\n"
    assert logs(numbers=node_numbers("2", "NODES")) == 0
    assert capsys.readouterr().out.endswith("taxi-2 console    | Out of memory: Killed process 7 (python)\n")
