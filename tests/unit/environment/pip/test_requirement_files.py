"""What a lock depends on besides environment.yml."""

import subprocess

import pytest

from dask_bake.environment.pip.requirement_files import (
    are_unchanged,
    digests,
    included_files,
    index_options,
    tree_digest,
    with_absolute_paths,
)


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


def test_paths_mean_the_same_elsewhere(tmp_path):
    (tmp_path / "more.txt").touch()
    lines = ["-r more.txt", "--find-links https://a.example", "dask"]
    assert with_absolute_paths(lines, tmp_path) == [f"-r {tmp_path}/more.txt", *lines[1:]]


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
