"""The command line: help, exit codes, and messages for wrong use."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from dask_bake.cli.click_types import NodeCommand
from dask_bake.cli.main import SECTIONS, cli, run

HOME = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["launch", "--count", "1"], "--count"),
        (["launch", "--name", "my cluster"], "'my cluster'"),
        (["launch", "--count", "many"], "'many'"),
        (["launch", "--cloud", "gcp"], "'gcp'"),
        (
            ["launch", "--volume-size", "10", "--volume-size", "20"],
            "--volume-size is given twice: '10' and '20'",
        ),
        (
            ["ls", "--region", "eu-west-1", "--region-name", "eu-west-2"],
            "--region is given twice: 'eu-west-1'",
        ),
        (["ssh", "-1"], "No such option"),
        (["launsh"], "No such command"),
    ],
)
def test_wrong_use_is_one_sentence_and_exit_code_2(arguments, message, capsys):
    assert run(arguments) == 2

    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.out == ""


@pytest.mark.parametrize("command", [["ls"], ["launch"], ["status"], ["bake"], ["config"], ["images"]])
def test_a_wrong_configuration_is_wrong_use(command, capsys):
    path = Path(os.environ["HOME"], ".config", "dask", "own.yaml")
    path.parent.mkdir(parents=True)
    path.write_text("bake:\n  colour: red\n")

    assert run(command) == 2
    assert capsys.readouterr().err == (
        f"Error: colour in {path} is not a setting of dask-bake\nHint: dask-bake config lists all settings\n"
    )


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (["launsh"], "dask-bake"),
        (["launch", "--colour", "red"], "dask-bake launch"),
        (["ssh", "--lots"], "dask-bake ssh"),
        (["iam-policy", "--for", "lots"], "dask-bake iam-policy"),
        (["completion"], "dask-bake completion"),
        (["down", "a", "b"], "dask-bake down"),
    ],
)
def test_unknown_arguments_are_reported_with_the_help_command(arguments, command, capsys):
    assert run(arguments) == 2

    printed = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[0] for line in printed] == ["Error", "Hint"]
    assert printed[1] == f"Hint: {command} --help shows the usage"


def test_an_option_may_be_given_twice_with_the_same_value():
    with cli.commands["launch"].make_context("launch", ["--count", "9", "--count", "9"]) as context:
        assert context.params["count"] == "9"


@pytest.mark.parametrize("group", [[], ["local"]])
def test_a_group_alone_shows_its_help(group, capsys):
    run(group)

    captured = capsys.readouterr()
    assert "Usage: dask-bake" in captured.out + captured.err


def test_help_names_every_command_under_its_heading(capsys):
    assert run(["--help"]) == 0

    text = capsys.readouterr().out
    headings = [text.index(f"\n{title}:\n") for title in ("Image", "Cluster", "Local cloud", "Setup")]
    assert headings == sorted(headings)
    for name, command in cli.commands.items():
        assert (f"\n  {name} " in text) is not command.hidden
    assert all(len(line) <= 80 for line in text.splitlines())


def test_the_help_of_launch_has_an_example_and_the_most_used_options_first(capsys):
    run(["launch", "--help"])

    text = capsys.readouterr().out
    assert "dask-bake launch --count 9" in text
    most_used, others = text.partition("Most used:")[2].split("\n\nCluster:")
    for option in ("--name", "--count", "--type", "--spot", "--dry-run"):
        assert f"\n  {option}" in most_used
        assert f"\n  {option} " not in others
    assert all(len(line) <= 80 for line in text.splitlines())


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_every_command_has_help(name, capsys):
    assert run([name, "--help"]) == 0
    assert "Usage:" in capsys.readouterr().out


@pytest.mark.parametrize("command", SECTIONS["Cluster"], ids=lambda command: command.name)
def test_every_command_about_clusters_takes_a_file(command):
    assert "--file" in [spelling for parameter in command.params for spelling in parameter.opts]


def test_help_is_fast():
    environment = {**os.environ, "PYTHONPATH": str(HOME / "launcher")}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "dask_bake", "--help"], env=environment, check=True, stdout=subprocess.DEVNULL
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # CPU time, so that other processes of the machine do not count.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.5

    heavy = "('boto3', 'rich', 'yaml', 'jinja2')"
    command = f"import sys, dask_bake.cli.main; print([m for m in {heavy} if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", command], env=environment, check=True, capture_output=True)
    assert shown.stdout == b"[]\n"


@pytest.mark.parametrize(
    ("arguments", "where", "words"),
    [
        ([], (), ()),
        (["3"], ("3",), ()),
        (["--", "hostname"], (), ("hostname",)),
        (["taxi", "3", "--", "ls", "-l", "--", "x"], ("taxi", "3"), ("ls", "-l", "--", "x")),
    ],
)
def test_arguments_after_the_dashes_are_run_on_the_node(arguments, where, words):
    with cli.commands["ssh"].make_context("ssh", list(arguments)) as context:
        assert context.params["where"] == where
        assert context.meta.get(NodeCommand.WORDS, ()) == words


ABOUT_A_CLUSTER = ("status", "ssh", "connect", "ui", "address", "allow-me", "extend", "down")


@pytest.mark.parametrize("command", ABOUT_A_CLUSTER)
def test_a_cluster_is_named_by_the_first_word_or_by_name(command, capsys):
    """The two cannot contradict each other."""
    for words in (["taxi"], ["--name", "taxi"], ["taxi", "--name", "taxi"]):
        assert run([command, *words, "--file", "missing.yaml"]) == 2
        assert "there is no file missing.yaml" in capsys.readouterr().err
    assert run([command, "taxi", "--name", "other"]) == 2
    assert "the name is given twice: 'taxi' and 'other'" in capsys.readouterr().err


def test_the_name_of_a_launch_is_its_first_word(capsys):
    assert run(["launch", "9"]) == 2
    assert "'9' is not a valid cluster name" in capsys.readouterr().err
    assert run(["launch", "taxi", "--name", "other"]) == 2
    assert "the name is given twice" in capsys.readouterr().err


def test_main_exits_with_the_command_s_exit_code():
    """Run in a process of its own, since it changes signal handlers and stderr."""
    code = "from dask_bake.cli.main import main; main(['launch', '--count', '1'])"
    environment = {**os.environ, "PYTHONPATH": str(HOME / "launcher")}
    ended = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, check=False, text=True
    )

    assert (ended.returncode, "--count" in ended.stderr) == (2, True), ended.stderr


def test_an_interrupt_or_a_termination_is_exit_code_130():
    code = (
        "import os, signal, dask_bake.options.configuration as s\n"
        "from dask_bake.cli.main import main\n"
        "s.read_configuration = lambda: os.kill(os.getpid(), getattr(signal, 'SIGTERM'))\n"
        "main(['ls'])\n"
    )
    for name in ("SIGINT", "SIGTERM"):
        ended = subprocess.run(
            [sys.executable, "-c", code.replace("SIGTERM", name)],
            env={**os.environ, "PYTHONPATH": str(HOME / "launcher")},
            capture_output=True,
            check=False,
        )
        assert (ended.returncode, b"Traceback" in ended.stderr) == (130, False)


def test_files_of_a_command_are_not_for_others_to_change():
    """Whatever the umask: programs and packages in the cache, keys, and the folders above them."""
    script = (
        "import os; from dask_bake.cli.main import main\n"
        "os.umask(0o007)\n"
        "try: main(['--version'])\n"
        "except SystemExit: print(oct(os.umask(0)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.split()[-1] == "0o27"
