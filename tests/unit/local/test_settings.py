"""The four variables of a local cloud, and their checks."""

from ipaddress import IPv4Network
from pathlib import Path

import pytest

from dask_bake.errors import UsageError
from dask_bake.local.settings import Settings, read_settings


def test_without_variables_there_are_defaults():
    assert read_settings({}) == Settings(
        name="dask-bake", root=Path("/var/lib/dask-bake"), port=5665, block=None
    )


def test_the_variables_are_read():
    environ = {
        "DASK_BAKE_LOCAL_NAME": "mine",
        "DASK_BAKE_LOCAL_ROOT": "/srv/mine",
        "DASK_BAKE_LOCAL_PORT": "6000",
        "DASK_BAKE_LOCAL_BLOCK": "10.1.0.0/24",
    }

    settings = read_settings(environ)

    assert settings == Settings("mine", Path("/srv/mine"), 6000, IPv4Network("10.1.0.0/24"))
    assert (settings.url, settings.bridge, settings.runtime, settings.log) == (
        "http://127.0.0.1:6000",
        "mine",
        Path("/run/dask-bake.mine"),
        Path("/srv/mine/server.log"),
    )


def test_a_relative_root_is_relative_to_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert read_settings({"DASK_BAKE_LOCAL_ROOT": "cloud"}).root == tmp_path / "cloud"


@pytest.mark.parametrize(
    "name", ["", "sixteen-letters-", "two words", "ümlaut", "a/b", "-dash", "9lives", "a.b", "line\n"]
)
def test_a_name_that_no_interface_can_have_is_refused(name):
    with pytest.raises(UsageError, match="which cannot name a network interface") as caught:
        read_settings({"DASK_BAKE_LOCAL_NAME": name})

    assert (caught.value.exit_code, caught.value.hint) == (
        2,
        "use at most 15 letters, digits and dashes, a letter first",
    )


@pytest.mark.parametrize("port", ["", "0", "65536", "http", "-1", "5.5", "٣"])
def test_an_invalid_port_is_refused(port):
    with pytest.raises(UsageError, match="which is not a port") as caught:
        read_settings({"DASK_BAKE_LOCAL_PORT": port})

    assert caught.value.exit_code == 2


@pytest.mark.parametrize("block", ["here", "10.0.0.1/24", "10.0.0.0/8", "10.0.0.0/29", "8.8.8.0/24"])
def test_a_block_that_cannot_be_used_is_refused(block):
    with pytest.raises(UsageError, match="DASK_BAKE_LOCAL_BLOCK is") as caught:
        read_settings({"DASK_BAKE_LOCAL_BLOCK": block})

    assert (caught.value.exit_code, caught.value.hint) == (
        2,
        "use a private block between /16 and /26, such as 10.213.0.0/20",
    )
