"""Output that a terminal or a pipe cannot show as it is: no traceback, and nothing cut off."""

import os
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

HOME = Path(__file__).parents[2]


def output_of(
    *arguments: str, stdout: int | IO[bytes] = subprocess.PIPE, **environ: str
) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [sys.executable, "-m", "dask_bake", *arguments],
        env={**os.environ, "PYTHONPATH": str(HOME / "launcher"), **environ},
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        check=False,
    )


def configured(tmp_path: Path, text: str) -> str:
    path = tmp_path / "dask.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [("ascii", rb"ort=Z\xfcrich"), ("latin-1", b"ort=Z\xfcrich"), ("utf-8", "ort=Zürich".encode())],
)
def test_a_character_that_the_encoding_lacks_is_shown_as_an_escape(encoding, shown, tmp_path):
    config = configured(tmp_path, "bake:\n  tag:\n    ort: Zürich\n")

    ended = output_of("config", "tag", DASK_CONFIG=config, PYTHONIOENCODING=encoding)

    assert (ended.returncode, ended.stdout.strip()) == (0, shown)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["launch", "--help"],
        ["config"],
        ["config", "--json"],
        ["iam-policy"],
        ["launch", "--colour", "Zürich"],
        ["launch", "--name", "Zürich"],
        ["launch", "--tag", "Zürich", "--dry-run"],
        ["images", "show", "ami-1", "--profile", "ü"],
    ],
    ids=" ".join,
)
def test_no_command_fails_because_of_the_encoding(arguments, tmp_path):
    ended = output_of(*arguments, PYTHONIOENCODING="ascii", AWS_ENDPOINT_URL="http://127.0.0.1:9")

    assert b"Traceback" not in ended.stderr
    assert ended.returncode in (0, 1, 2)


def test_bytes_that_are_not_utf_8_are_shown(tmp_path):
    """A file's name may be in any encoding."""
    ended = subprocess.run(
        [sys.executable, "-m", "dask_bake", "launch", "--dry-run", "--name", b"Z\xfcrich"],
        env={**os.environ, "PYTHONPATH": str(HOME / "launcher")},
        capture_output=True,
        check=False,
    )

    assert (ended.returncode, b"Traceback" in ended.stderr) == (2, False)


@pytest.mark.parametrize("columns", ["0", "5", "40", "60"])
def test_piped_output_is_not_cut_to_the_columns_of_the_environment(columns, tmp_path):
    name = "a-" * 60
    config = configured(tmp_path, f"bake:\n  tag:\n    name: {name}\n")

    ended = output_of("config", DASK_CONFIG=config, COLUMNS=columns)

    assert ended.returncode == 0
    assert any(f"name={name}" in line and config in line for line in ended.stdout.decode().splitlines())


@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize("arguments", [["config", "--json"], ["--help"]], ids=" ".join)
def test_an_output_without_a_reader_ends_quietly(arguments, unbuffered):
    reader, writer = os.pipe()
    os.close(reader)
    try:
        ended = output_of(*arguments, stdout=writer, PYTHONUNBUFFERED=unbuffered)
    finally:
        os.close(writer)

    assert (ended.returncode, ended.stderr) == (1, b"")


@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize(
    "arguments", [["config"], ["config", "--json"], ["iam-policy"], ["--help"]], ids=" ".join
)
def test_an_output_on_a_full_disk_is_one_sentence(arguments, unbuffered):
    with Path("/dev/full").open("wb") as full:
        ended = output_of(*arguments, stdout=full, PYTHONUNBUFFERED=unbuffered)

    assert ended.returncode == 1
    assert ended.stderr.decode().splitlines()[-2:] == [
        "Error: the output cannot be written: No space left on device",
        "Hint: free disk space, or redirect the output to another place",
    ]


def test_a_current_folder_that_is_gone_is_one_sentence(tmp_path):
    (tmp_path / "gone").mkdir()
    script = 'cd gone && rmdir ../gone && exec "$0" -m dask_bake lock --from-env --installer pip'

    ended = subprocess.run(
        ["sh", "-c", script, sys.executable],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(HOME / "launcher")},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == "Error: the current folder has been removed\nHint: cd to another\n"


@pytest.mark.parametrize("home", ["/dev/null", "/proc/nowhere"])
def test_a_home_that_cannot_be_written_is_one_sentence(home, tmp_path):
    (tmp_path / "requirements.txt").write_text("dask\n")
    given = ["--env", str(tmp_path / "requirements.txt")]

    ended = output_of("lock", *given, HOME=home, XDG_CACHE_HOME="", XDG_STATE_HOME="")

    assert (ended.returncode, ended.stdout) == (1, b"")
    assert ended.stderr.decode().startswith(f"Error: {home}/.cache/dask-bake/wheels cannot be written: ")
    assert ended.stderr.count(b"\n") == 2
