"""``dask-bake cp`` over real SSH, by sftp and, where this machine has it, by rsync."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from dask_bake.access import rsync
from dask_bake.access.locations import parse_copy
from dask_bake.access.sftp import part_of, walk
from dask_bake.commands.access.cp import CpOptions, run
from dask_bake.errors import BakeError, UsageError
from dask_bake.view.terminal import Terminal
from fakes import CLOUD

HAS_RSYNC = shutil.which("rsync") is not None


@pytest.fixture(
    params=["sftp", pytest.param("rsync", marks=pytest.mark.skipif(not HAS_RSYNC, reason="no rsync"))]
)
def way(request, monkeypatch):
    if request.param == "sftp":
        monkeypatch.setattr(rsync, "is_usable", lambda _host: False)
    return request.param


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """The current folder."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def cp(nodes):
    def cp(*words, node=None, **options):
        return run(CpOptions(parse_copy(words, node), "taxi", **options), CLOUD, nodes.ec2, Terminal())

    return cp


def files(folder: Path) -> dict[str, str]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_text() for path in found}


def test_files_and_folders_go_to_a_node_and_come_back(nodes, cp, here, way):
    (here / "data/deep").mkdir(parents=True)
    (here / "data/deep/a b.csv").write_text("1")
    (here / "data/e*[x]'\".csv").write_text("2")
    (here / "one").write_text("3")

    assert cp("data", "one", "taxi/1:to/") == 0
    assert files(nodes.folder(1) / "to") == {
        "data/deep/a b.csv": "1",
        "data/e*[x]'\".csv": "2",
        "one": "3",
    }
    assert cp("taxi/1:to/data", "back/") == 0
    assert files(here / "back") == {"data/deep/a b.csv": "1", "data/e*[x]'\".csv": "2"}


def test_globs_are_expanded_on_the_node(nodes, cp, here, way):
    for name in ("a.log", "b.log", "c.txt"):
        (nodes.folder(0) / name).write_text(name)
    (here / "d.log").touch()  # the shell here would expand it to this one
    assert cp("taxi:*.log", ".") == 0
    assert sorted(files(here)) == ["a.log", "b.log", "d.log"]


def test_a_file_takes_the_name_of_the_target(nodes, cp, here, way, capsys):
    (here / "a").write_text("newer")
    (nodes.folder(0) / "b").write_text("old")
    assert cp("a", ":b", json_output=True) == 0
    assert files(nodes.folder(0)) == {"b": "newer"}
    (node,) = json.loads(capsys.readouterr().out)["nodes"]
    assert node == {"index": 0, "node": "taxi-0", "way": way, "files": 1, "bytes": 5, "error": None}


def test_all_nodes_get_it_and_each_gives_it_into_a_folder_of_its_own(nodes, cp, here, way):
    (here / "a").write_text("x")
    assert cp("a", "taxi:", every=True) == 0
    assert [files(nodes.folder(index)) for index in range(3)] == [{"a": "x"}] * 3
    assert cp("taxi:a", "from", every=True) == 0
    assert files(here / "from") == {f"taxi-{index}/a": "x" for index in range(3)}


def test_what_is_there_already_is_not_copied_again(nodes, cp, here, way, capsys):
    (here / "a").write_text("x" * 1000)
    cp("a", "taxi:")
    capsys.readouterr()
    assert cp("a", "taxi:", json_output=True) == 0
    assert json.loads(capsys.readouterr().out)["nodes"][0]["files"] == 0


def test_a_broken_upload_is_continued_by_sftp(nodes, cp, here, monkeypatch, capsys):
    monkeypatch.setattr(rsync, "is_usable", lambda _host: False)
    (here / "big").write_bytes(b"0123456789" * 100_000)
    (entry,) = walk("big")
    part = nodes.folder(0) / part_of("big", entry)
    part.write_bytes(b"0123456789" * 60_000)

    assert cp("big", "taxi:big", json_output=True) == 0

    assert json.loads(capsys.readouterr().out)["nodes"][0]["bytes"] == 400_000
    assert {path.name: path.read_bytes() for path in nodes.folder(0).iterdir()} == {
        "big": b"0123456789" * 100_000
    }


def test_a_broken_download_is_continued_by_sftp(nodes, cp, here, monkeypatch, capsys):
    monkeypatch.setattr(rsync, "is_usable", lambda _host: False)
    (nodes.folder(0) / "big").write_bytes(b"0123456789" * 100_000)
    (entry,) = walk(str(nodes.folder(0) / "big"))
    part = here / part_of("big", replace(entry, start="big"))
    part.write_bytes(b"0123456789" * 60_000)
    assert cp("taxi:big", "big", json_output=True) == 0
    assert json.loads(capsys.readouterr().out)["nodes"][0]["bytes"] == 400_000
    assert [path.name for path in here.iterdir()] == ["big"]
    assert (here / "big").read_bytes() == b"0123456789" * 100_000


def test_what_is_not_there_is_one_sentence(cp, here, way):
    with pytest.raises(BakeError, match=r"the copy from taxi-0 failed: .*nothere"):
        cp("taxi:nothere", ".")
    with pytest.raises(BakeError, match=r"the copy to taxi-0 failed: .*nothere"):
        cp("nothere", "taxi:")


def test_one_node_that_fails_does_not_stop_the_others(nodes, cp, here, way, capsys):
    (here / "a").write_text("x")
    nodes.ec2.consoles["i-1"] = ""
    assert cp("a", "taxi:", every=True) == 1
    assert [files(nodes.folder(index)) for index in range(3)] == [{"a": "x"}, {}, {"a": "x"}]
    assert "taxi-1: node 1 (i-1) has not printed its host key" in capsys.readouterr().err


def test_a_node_and_all_contradict_each_other(cp, here):
    with pytest.raises(UsageError, match="contradict"):
        cp("a", "taxi/1:", every=True)


def test_a_full_disk_is_one_sentence(nodes, cp, here, way, tmp_path):
    """The node's df says so; the copy fails for another reason, as the disk of a test is not full."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "df").write_text("#!/bin/sh\necho Filesystem\necho /dev/xvda1 8 8 0 100% /\n")
    (programs / "df").chmod(0o755)
    nodes.servers[0].environ = {"PATH": f"{programs}:/usr/bin:/bin"}
    (here / "a").write_text("x")
    (nodes.folder(0) / "file").touch()
    with pytest.raises(BakeError, match="the disk of taxi-0 is full: 0 kB are free where file/below is"):
        cp("a", "taxi:file/below")
