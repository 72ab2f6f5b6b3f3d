"""Unexpected exceptions: one sentence, a file with the traceback, and the truth about what may be left."""

import json
import os
from pathlib import Path

import pytest

from dask_bake.cli.main import run
from dask_bake.ec2 import responses
from moto_launches import answering_cloud, baked, everything, launch

SENTENCE = "ValueError: 'monitor' is not a valid role; this is a defect in dask-bake"


@pytest.fixture
def cloud(aws):
    baked(aws)
    with answering_cloud() as cloud:
        yield cloud


@pytest.fixture
def defective(monkeypatch):
    """Return a function that makes the launcher unable to read EC2's descriptions of instances."""

    def node(_answer):
        raise ValueError("'monitor' is not a valid role")

    return lambda: monkeypatch.setattr(responses, "node", node)


@pytest.fixture
def log() -> Path:
    return Path(os.environ["HOME"], ".local/state/dask-bake/defects.log")


def test_a_command_that_only_looks_ends_with_exit_code_1(cloud, defective, log, capsys):
    launch(cloud)
    defective()
    capsys.readouterr()

    assert run(["ls"]) == 1

    shown = capsys.readouterr()
    assert (shown.out, shown.err) == (
        "",
        f"Error: {SENTENCE}\nHint: report it with the traceback in {log}; DASK_BAKE_DEBUG=1 prints it\n",
    )
    assert log.stat().st_mode & 0o777 == 0o600
    text = log.read_text()
    assert " UTC, dask-bake ls, version " in text
    assert text.rstrip().endswith("ValueError: 'monitor' is not a valid role")


def test_each_defect_is_added_to_the_file(cloud, defective, log):
    launch(cloud)
    defective()
    run(["ls"])
    before = log.read_text()
    run(["status", "dask"])

    assert log.read_text().startswith(before)
    assert " UTC, dask-bake status, version " in log.read_text()


def test_the_traceback_is_printed_if_it_is_asked_for(cloud, defective, monkeypatch, capsys):
    launch(cloud)
    defective()
    monkeypatch.setenv("DASK_BAKE_DEBUG", "1")

    assert run(["ls"]) == 1
    assert "Traceback (most recent call last):" in capsys.readouterr().err


def test_the_traceback_is_printed_if_it_cannot_be_stored(cloud, defective, log, capsys):
    launch(cloud)
    defective()
    log.mkdir(parents=True)

    assert run(["ls"]) == 1
    shown = capsys.readouterr().err
    assert "Traceback (most recent call last):" in shown
    assert "report it with the traceback above" in shown


def test_down_says_that_nothing_was_ended(aws, cloud, defective, capsys):
    launch(cloud)
    before = everything(aws)
    defective()
    capsys.readouterr()

    assert run(["down", "dask"]) == 3

    shown = capsys.readouterr().err
    assert f"{SENTENCE}. Nothing was ended: what runs still costs money" in shown
    assert "Hint: dask-bake down dask may end it" in shown
    assert "defects.log" in shown
    assert "Traceback" not in shown
    assert everything(aws) == before


def test_with_json_the_error_is_an_object_on_stdout(cloud, defective, log, capsys):
    launch(cloud)
    defective()
    capsys.readouterr()

    assert run(["ls", "--json"]) == 1

    shown = capsys.readouterr()
    assert json.loads(shown.out) == {
        "error": SENTENCE,
        "hint": f"report it with the traceback in {log}; DASK_BAKE_DEBUG=1 prints it",
        "exit_code": 1,
    }
    assert SENTENCE in shown.err


def launch_words() -> list[str]:
    return ["launch", "--cloud", "aws", "--cidr", "192.0.2.7/32", "--allow-mismatch", "--count", "3"]


def test_a_launch_before_any_request_that_creates_something_ends_with_exit_code_1(
    aws, cloud, monkeypatch, capsys
):
    def subnet(_answer):
        raise KeyError("AvailabilityZone")

    monkeypatch.setattr(responses, "subnet", subnet)

    assert run(launch_words()) == 1

    shown = capsys.readouterr().err
    assert "Error: KeyError: 'AvailabilityZone'; this is a defect in dask-bake\n" in shown
    assert everything(aws) == []


def test_a_launch_whose_instances_cannot_be_read_names_what_may_be_left(aws, cloud, defective, capsys):
    defective()

    assert run([*launch_words(), "--json"]) == 3

    shown = capsys.readouterr()
    document = json.loads(shown.out)
    assert document["exit_code"] == 3
    assert document["error"].startswith(SENTENCE)
    assert "something may be left that costs money:" in document["error"]
    assert "whatever is tagged dask-bake:cluster=dask-tester" in document["error"]
    down = "dask-bake down dask-tester --cloud aws"
    assert document["hint"].startswith(f"{down}; report it with the traceback in ")
    assert "Traceback" not in shown.err
    assert everything(aws) != []


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            OSError(28, "No space left on device", "/x"),
            "this machine refuses an operation: /x: No space left",
        ),
        (RecursionError("too deep"), "RecursionError: too deep; this is a defect in dask-bake"),
    ],
)
def test_an_error_of_this_machine_is_no_defect(error, message, monkeypatch, capsys):
    def fail():
        raise error

    monkeypatch.setattr("dask_bake.options.configuration.read_configuration", fail)

    assert run(["config"]) == 1
    assert message in capsys.readouterr().err


def test_with_json_wrong_use_is_an_object_too(capsys):
    assert run(["launch", "--count", "1", "--json"]) == 2

    document = json.loads(capsys.readouterr().out)
    assert (document["exit_code"], "--count" in document["error"], bool(document["hint"])) == (2, True, True)
