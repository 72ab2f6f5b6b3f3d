"""What a killed local cloud left is known by its name, and nobody else's is."""

import subprocess
import sys
from pathlib import Path

import pytest

from dask_bake.local.cleanup import _files, end_process, is_machine, name_process
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
def test_a_process_is_ours_by_its_arguments(arguments, name):
    assert name_process(arguments, OURS) == name


def test_a_machine_of_a_longer_name_is_another_clouds():
    assert [is_machine(name, OURS) for name in ("dask-i-0a", "dask-i-i-0a", "dask-b-i-0a", "dask-i-")] == [
        True,
        False,
        False,
        False,
    ]


def test_folders_of_instances_and_unfinished_trees_are_left_over_and_images_are_not(tmp_path):
    settings = Settings(name="none-such", root=tmp_path)
    for folder in ("instances/i-1/upper", "layers/draft-1/tree", "layers/base", "images"):
        (tmp_path / folder).mkdir(parents=True)

    found = _files(settings)

    assert [leftover.what for leftover in found] == [
        f"folder {tmp_path}/instances/i-1",
        f"folder {tmp_path}/layers/draft-1",
    ]
    for leftover in found:
        leftover.remove()
    assert _files(settings) == ()
    assert sorted(path.name for path in tmp_path.glob("*/*")) == ["base"]


DEAF = "import signal,sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); signal.pause()"


@pytest.mark.parametrize("code", [DEAF, "import sys; print(flush=True); sys.stdin.read()"])
def test_a_process_is_asked_to_end_and_then_made_to(code):
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        process.stdout.readline()

        end_process(process.pid, patience=0.1)

        assert process.wait(5) < 0
    end_process(process.pid, patience=0)
