"""The program that prints a home's notebooks."""

import base64
import gzip
import json
import os

import pytest

from node_programs import load

WELCOME = '{"cells": [{"source": ["a\\n", "b"], "outputs": []}], "metadata": {}}'
OPENED = '{"cells": [{"source": "a\\nb", "outputs": [], "id": "1"}], "metadata": {"language_info": {}}}'
RUN = '{"cells": [{"source": "a\\nb", "outputs": [{}], "id": "1"}], "metadata": {"language_info": {}}}'


@pytest.fixture
def program(tmp_path, monkeypatch):
    """The program, on a head that was launched at second 1000."""
    program = load("notebooks")
    launched, welcome = tmp_path / "head.env", tmp_path / "welcome.ipynb"
    launched.touch()
    os.utime(launched, (1000, 1000))
    welcome.write_text(WELCOME)
    monkeypatch.setattr(program, "LAUNCHED", str(launched))
    monkeypatch.setattr(program, "WELCOME", str(welcome))
    return program


@pytest.fixture
def home(tmp_path, monkeypatch):
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    return folder


def write(home, path: str, text: str = "{}", *, at: float = 2000):
    file = home / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    os.utime(file, (at, at))


def test_changed_notebooks_are_printed_with_their_text(program, home, capsys):
    write(home, "a.ipynb", '"é\\n"')
    write(home, "work/b.ipynb")
    program.main()

    printed = json.loads(gzip.decompress(base64.b64decode(capsys.readouterr().out)))
    assert printed == {
        "notebooks": {"a.ipynb": '"é\\n"', "work/b.ipynb": "{}"},
        "left": {},
        "is_complete": True,
    }


def test_what_is_not_the_user_s_work_is_left_out(program, home, tmp_path):
    write(home, "welcome.ipynb", WELCOME)
    write(home, "opened.ipynb", OPENED)
    write(home, "of-the-image.ipynb", at=500)
    write(home, ".ipynb_checkpoints/a-checkpoint.ipynb")
    write(home, "script.py")
    write(tmp_path, "elsewhere/secret.ipynb")
    (home / "link.ipynb").symlink_to(tmp_path / "elsewhere/secret.ipynb")
    (home / "folder").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(home / "pipe.ipynb")

    assert program.document(str(home)) == {"notebooks": {}, "left": {}, "is_complete": True}


@pytest.mark.parametrize("text", [RUN, "{}", "[" * 100_000, '{"cells": 7}'])
def test_the_welcome_notebook_counts_once_it_was_run_or_changed(program, home, text):
    write(home, "welcome.ipynb", text)

    assert program.document(str(home))["notebooks"] == {"welcome.ipynb": text}


def test_what_does_not_fit_or_cannot_be_read_is_named_with_its_size(program, home, monkeypatch):
    monkeypatch.setattr(program, "LARGEST", 100)
    monkeypatch.setattr(program, "MOST_BYTES", 150)
    write(home, "a.ipynb", "0" * 101)
    write(home, "b.ipynb", "0" * 100)
    write(home, "c.ipynb", "0" * 60)
    write(home, "d.ipynb", "0" * 50)
    (home / "e.ipynb").write_bytes(b"\xff")

    found = program.document(str(home))

    assert list(found["notebooks"]) == ["b.ipynb", "d.ipynb"]
    assert found["left"] == {"a.ipynb": 101, "c.ipynb": 60, "e.ipynb": 1}


@pytest.mark.parametrize(("bound", "value"), [("MOST_FILES", 2), ("MOST_SECONDS", -1.0)])
def test_a_home_with_too_much_is_not_searched_to_its_end(program, home, monkeypatch, bound, value):
    monkeypatch.setattr(program, bound, value)
    for name in "abc":
        write(home, f"{name}.ipynb")

    assert program.document(str(home))["is_complete"] is False
