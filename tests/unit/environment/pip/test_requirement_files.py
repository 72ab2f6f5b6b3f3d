"""What a lock depends on besides environment.yml."""

import subprocess

import pytest

from dask_bake.environment.pip.requirement_files import (
    are_unchanged,
    digests,
    for_resolvers,
    included_files,
    index_options,
    pinned_hashes,
    tree_digest,
    with_secrets,
)
from dask_bake.errors import UsageError


@pytest.mark.parametrize(
    "line",
    ["-r more.txt", "-rmore.txt", "--requirement more.txt", "--requirement=more.txt", "-c more.txt # why"],
)
def test_included_files_are_found(line, tmp_path):
    (tmp_path / "more.txt").write_text("numpy\n")
    assert included_files(["dask", line], tmp_path) == [tmp_path / "more.txt"]


@pytest.mark.parametrize(
    "line", ["dask", "-e .", "# -r more.txt", "-r https://a.example/more.txt", "requests"]
)
def test_other_lines_include_nothing(line, tmp_path):
    assert included_files([line], tmp_path) == []


def test_files_that_include_each_other_end(tmp_path):
    (tmp_path / "one.txt").write_text("-r two.txt\n")
    (tmp_path / "two.txt").write_text("-r one.txt\n--index-url https://a.example/simple\n-f ./wheels\n")
    (tmp_path / "wheels").mkdir()
    assert len(included_files(["-r one.txt"], tmp_path)) == 2
    assert index_options(["-r one.txt", "--pre", "dask"], tmp_path) == [
        "--pre",
        "--index-url https://a.example/simple",
        f"-f {tmp_path}/wheels",
    ]


def test_included_requirements_take_the_place_of_their_line(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "limits.txt").touch()
    (tmp_path / "sub" / "more.txt").write_text("-c limits.txt\n-e git+https://a.example/lab\n-r more.txt\n")
    lines = ["-r sub/more.txt", "--find-links https://a.example", "-r https://a.example/x.txt", "dask"]
    assert for_resolvers(lines, tmp_path) == [
        f"-c {tmp_path}/sub/limits.txt",
        "git+https://a.example/lab",
        *lines[1:],
    ]


@pytest.mark.parametrize(
    ("content", "read"),
    [
        ("\ufeffdask\r\n# ü\r\n".encode(), ["dask", "# ü"]),
        ("dask\n".encode("utf-16"), ["dask"]),
        ("\ufeffdask\n".encode("utf-16-be"), ["dask"]),
        ("# -*- coding: latin-1 -*-\n# ü\n".encode("latin-1"), ["# -*- coding: latin-1 -*-", "# ü"]),
        ("# ü\ndask\n".encode("latin-1"), UsageError),
        (b"# coding: klingon\ndask\n", UsageError),
        (b"\xff\xfed", UsageError),
    ],
)
def test_a_file_is_in_the_encoding_that_pip_would_read(content, read, tmp_path):
    (tmp_path / "more.txt").write_bytes(content)
    if read is UsageError:
        with pytest.raises(UsageError, match=r"the requirements .*more\.txt cannot be read: ") as caught:
            for_resolvers(["-r more.txt"], tmp_path)
        assert "UTF-8" in str(caught.value.hint)
    else:
        assert [line.removeprefix("\ufeff") for line in for_resolvers(["-r more.txt"], tmp_path)] == read


def test_links_that_are_not_there_are_refused(tmp_path):
    with pytest.raises(UsageError, match=r"--find-links \./nowhere does not exist"):
        for_resolvers(["--find-links ./nowhere"], tmp_path)


@pytest.mark.parametrize(
    ("line", "read"),
    [
        ("lab @ git+https://${TOKEN}@a.example/lab", "lab @ git+https://s3@a.example/lab"),
        ("${OTHER} $TOKEN", "${OTHER} $TOKEN"),
        ("-e git+https://a.example/lab#egg=lab", "git+https://a.example/lab#egg=lab"),
        ("--editable=git+ssh://a.example/lab", "git+ssh://a.example/lab"),
        ("-e ./lab", "./lab"),
        ("-e .[x]", ".[x]"),
        ("-e lab", "./lab"),
    ],
)
def test_lines_are_as_uv_and_pip_both_read_them(line, read, tmp_path):
    assert for_resolvers([line], tmp_path, {"TOKEN": "s3"}) == [read]


def test_a_source_gets_the_credentials_of_its_host():
    lines = ["lab @ git+https://me:pw@a.example/lab", "toolz"]
    source = "git+https://a.example/lab@abc"
    assert with_secrets(source, lines) == "git+https://me:pw@a.example/lab@abc"
    assert with_secrets("https://b.example/lab", lines) == "https://b.example/lab"


def test_hashes_are_found_over_several_lines_and_files(tmp_path):
    one, two = "1" * 64, "2" * 64
    lines = ("Lab_Tools==1 \\", f"  --hash=sha256:{one} \\", f"  --hash=sha256:{two}", "dask", "")
    (tmp_path / "more.txt").write_text("\n".join(lines))
    assert pinned_hashes(["-r more.txt", f"toolz --hash=sha256:{two}"], tmp_path) == {
        "lab-tools": {one, two},
        "toolz": {two},
    }


def test_changes_of_sources_are_seen_and_build_products_are_not(tmp_path):
    project = tmp_path / "lab"
    project.mkdir()
    (project / "lab.py").write_text("x = 1")
    (tmp_path / "more.txt").write_text("numpy")
    inputs = digests(["lab", "more.txt"], tmp_path)
    for name in ("build/x", "lab.egg-info/PKG-INFO", "__pycache__/lab.pyc", "locks/pip.lock"):
        (project / name).parent.mkdir()
        (project / name).touch()
    assert are_unchanged(inputs, tmp_path)
    (project / "lab.py").write_text("x = 2")
    assert not are_unchanged(inputs, tmp_path)
    assert not are_unchanged({"nowhere": "0" * 64}, tmp_path)


def test_git_says_what_belongs_to_a_project(tmp_path):
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / ".gitignore").write_text("data\n")
    (tmp_path / "lab.py").write_text("x = 1")
    before = tree_digest(tmp_path)
    (tmp_path / "data").write_text("large")
    assert tree_digest(tmp_path) == before
    (tmp_path / "new.py").touch()
    assert tree_digest(tmp_path) != before
