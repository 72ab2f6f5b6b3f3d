"""`make lint` and the pre-commit hooks run the same checks."""

import re
from pathlib import Path

import yaml

HOME = Path(__file__).parents[1]


def test_the_hooks_run_what_make_lint_runs():
    makefile = (HOME / "Makefile").read_text()
    target = re.search(r"^lint: setup (.*?) ##.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    commands = {
        line.strip().removeprefix("@").replace("$(BIN)", ".venv/bin") for line in target[2].splitlines()
    }
    commands |= {f"make {name}" for name in target[1].split()}
    hooks = yaml.safe_load((HOME / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]

    assert {hook["entry"] for hook in hooks} == commands
    assert {hook["language"] for hook in hooks} == {"system"}
