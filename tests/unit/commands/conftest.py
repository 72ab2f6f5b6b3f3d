"""An ``ssh`` that answers for a head."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def ssh(tmp_path, monkeypatch) -> Callable[..., Path]:
    """Return a function that installs an ``ssh`` which answers for the head and records the commands."""

    def answering(answer: str = "", *, error: str = "", code: int = 0) -> Path:
        folder, commands = tmp_path / "bin", tmp_path / "commands"
        folder.mkdir()
        for name, text in (("answer", answer), ("error", error)):
            (tmp_path / name).write_text(text)
        program = folder / "ssh"
        program.write_text(
            f"#!/bin/sh\nfor word; do last=$word; done\necho \"$last\" >> '{commands}'\n"
            f"cat '{tmp_path}/answer'; cat '{tmp_path}/error' >&2; exit {code}\n"
        )
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        return commands

    return answering
