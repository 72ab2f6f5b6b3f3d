"""Leftovers of a killed local cloud are found by its name; those of others are not touched."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dask_bake.local import cleanup
from dask_bake.local.cleanup import (
    _files,
    find_leftovers,
    is_machine,
    name_process,
    other_clouds_run,
    unused_nspawn_folders,
)
from dask_bake.local.machines.nspawn import NSPAWN_FOLDERS
from dask_bake.local.pidfile import lock_root
from dask_bake.local.settings import Settings

OURS = Settings(name="dask", root=Path("/srv/dask"))


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["systemd-nspawn", "--boot", "--machine=dask-i-0123abcd"], "machine dask-i-0123abcd"),
        (["sh", "-c", "exec", "--", "systemd-nspawn", "--machine=dask-i-01"], "machine dask-i-01"),
        (["dnsmasq", "--dhcp-hostsfile=/run/dask-bake.dask/dhcp-hosts"], "dnsmasq"),
        (["perl", "mmdebstrap", "bookworm", "/srv/dask/layers/draft-x/tree"], "the making of the base tree"),
        (["systemd-nspawn", "--machine=dask-i-i-0123abcd"], None),
        (["systemd-nspawn", "--machine=dask-bake-i-0123abcd"], None),
        (["dnsmasq", "--dhcp-hostsfile=/run/dask-bake.dask-bake/dhcp-hosts"], None),
        (["mmdebstrap", "/srv/dask-bake/layers/draft-x/tree"], None),
        (["vi", "dask-i-0123abcd"], None),
        ([""], None),
    ],
)
def test_processes_of_a_local_cloud_are_recognised_by_their_arguments(arguments, name):
    assert name_process(arguments, OURS) == name


def test_a_machine_whose_name_only_begins_alike_belongs_to_another_local_cloud():
    assert [is_machine(name, OURS) for name in ("dask-i-0a", "dask-i-i-0a", "dask-b-i-0a", "dask-i-")] == [
        True,
        False,
        False,
        False,
    ]


def test_instance_folders_and_unfinished_trees_are_leftovers_and_images_are_not(tmp_path):
    settings = Settings(name="none-such", root=tmp_path)
    for folder in ("instances/i-1/upper", "layers/draft-1/tree", "layers/base", "images"):
        (tmp_path / folder).mkdir(parents=True)

    found = _files(settings, is_root_in_use=False)

    assert [leftover.what for leftover in found] == [
        f"folder {tmp_path}/instances/i-1",
        f"folder {tmp_path}/layers/draft-1",
    ]
    for leftover in found:
        leftover.remove()
    assert _files(settings, is_root_in_use=False) == ()
    assert sorted(path.name for path in tmp_path.glob("*/*")) == ["base"]


def test_a_root_that_a_server_holds_has_no_leftovers(tmp_path):
    settings = Settings(name="none-such", root=tmp_path)
    folder = tmp_path / "instances" / "i-1"
    folder.mkdir(parents=True)
    held = lock_root(Settings(name="other", root=tmp_path))

    assert find_leftovers(settings) == ()
    os.close(held)

    assert [leftover.what for leftover in find_leftovers(settings)] == [f"folder {folder}"]


def test_an_unfinished_base_tree_is_a_leftover_if_no_server_holds_the_root(monkeypatch):
    monkeypatch.setattr(cleanup, "_our_processes", lambda _: [(7, cleanup.BASE_TREE), (8, "dnsmasq")])

    found = {
        is_held: [leftover.what for leftover in cleanup._processes(OURS, is_root_in_use=is_held)]
        for is_held in (True, False)
    }

    assert found == {
        True: ["process 8 (dnsmasq)"],
        False: ["process 7 (the making of the base tree)", "process 8 (dnsmasq)"],
    }


PROPAGATE, EXPORT = NSPAWN_FOLDERS
MINE, OTHERS, EXPORTED = PROPAGATE / "dask-i-0a", PROPAGATE / "dask-b-i-0a", EXPORT / "dask-i-0a"


@pytest.mark.parametrize(
    ("parents", "present", "is_shared", "unused"),
    [
        ([PROPAGATE], [MINE], False, (MINE, PROPAGATE, PROPAGATE.parent)),
        ([PROPAGATE, EXPORT], [MINE, EXPORTED], False, (MINE, EXPORTED, PROPAGATE, EXPORT, PROPAGATE.parent)),
        ([PROPAGATE], [], False, (PROPAGATE, PROPAGATE.parent)),
        ([EXPORT], [EXPORTED], False, (EXPORTED, EXPORT, EXPORT.parent)),
        ([PROPAGATE], [MINE, OTHERS], False, (MINE,)),
        ([PROPAGATE], [OTHERS], True, ()),
        ([PROPAGATE, EXPORT], [MINE, EXPORTED], True, (MINE, EXPORTED)),
        ([PROPAGATE], [], True, ()),
        ([], [], False, ()),
    ],
)
def test_folders_of_nspawn_are_leftovers_if_no_local_cloud_is_running(parents, present, is_shared, unused):
    assert unused_nspawn_folders(parents, present, OURS, is_shared=is_shared) == unused


def test_another_local_cloud_is_running_while_its_runtime_folder_exists(tmp_path):
    (tmp_path / "dask-bake.dask").mkdir()
    assert not other_clouds_run(OURS, tmp_path)

    (tmp_path / "dask-bake.dask-bake").mkdir()
    assert other_clouds_run(OURS, tmp_path)


def test_a_process_of_another_user_is_none_of_a_local_cloud():
    """Any user can give a process these arguments; `local down` would end it, or one with its number."""
    named = [
        sys.executable,
        "-c",
        "print(flush=True); input()",
        f"--dhcp-hostsfile={OURS.runtime}/dhcp-hosts",
    ]
    with subprocess.Popen(named, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        own = cleanup.kind_of_process(process.pid, OURS, users={os.getuid()})
        of_another = cleanup.kind_of_process(process.pid, OURS, users={os.getuid() + 1})
        process.communicate(b"\n")
        ended = cleanup.kind_of_process(process.pid, OURS, users={os.getuid()})

    assert (own, of_another, ended) == ("dnsmasq", None, None)
