"""Completion of commands, options and values in a shell."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from dask_bake.cli.main import cli, run

HOME = Path(__file__).parents[3]


def completions(*words, begun=""):
    """Return the completions after these words."""
    complete = ShellComplete(cli, {}, "dask-bake", "_DASK_BAKE_COMPLETE")
    return [item.value for item in complete.get_completions(list(words), begun)]


def test_commands_are_completed():
    assert completions(begun="la") == ["launch"]
    assert completions("images", begun="di") == ["diff"]
    assert "destroy" not in completions()


def test_options_are_completed_also_in_their_no_form():
    assert completions("launch", begun="--spot") == ["--spot", "--spot-with-fallback"]
    assert completions("launch", begun="--no-sp") == ["--no-spot", "--no-spot-with-fallback"]
    assert completions("down", begun="--reg") == ["--region", "--region-name"]


@pytest.mark.parametrize(
    ("words", "choices"),
    [
        (("launch", "--connect"), ["direct", "bastion", "ssm", "eice"]),
        (("status", "--cloud"), ["auto", "aws", "local"]),
        (("bake", "--installer"), ["conda", "pip", "auto"]),
        (("lock", "--arch"), ["x86_64", "arm64"]),
        (("completion",), ["bash", "zsh", "fish"]),
    ],
)
def test_choices_of_an_option_are_completed(words, choices):
    assert completions(*words) == choices
    assert completions(*words, begun=choices[0]) == choices[:1]


def test_settings_are_completed():
    assert completions("config", begun="image.k") == ["image.kms-key"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_each_shell_is_printed(shell, capsys):
    assert run(["completion", shell]) == 0
    assert "_DASK_BAKE_COMPLETE" in capsys.readouterr().out


def test_another_shell_is_wrong_use(capsys):
    assert run(["completion", "csh"]) == 2
    assert "'csh' is not one of 'bash', 'zsh', 'fish'" in capsys.readouterr().err


def test_bash_completes_with_the_script(tmp_path):
    """The printed script, in a real bash, with the real command."""
    program = tmp_path / "dask-bake"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m dask_bake "$@"\n')
    program.chmod(0o755)
    words = (
        "source <(dask-bake completion bash); COMP_WORDS=(dask-bake launch --connect b); COMP_CWORD=3;"
        ' _dask_bake_completion dask-bake; echo "${COMPREPLY[@]}"'
    )
    bash = shutil.which("bash")
    assert bash is not None
    environment = {
        **os.environ,
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "PYTHONPATH": str(HOME / "launcher"),
    }
    ended = subprocess.run([bash, "-c", words], env=environment, capture_output=True, text=True, check=True)
    assert (ended.stdout, ended.stderr) == ("bastion\n", "")
