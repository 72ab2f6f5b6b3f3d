"""The server's command line, and how its start is followed."""

import sys
from pathlib import Path

import pytest

from dask_bake.errors import BakeError
from dask_bake.local.server_process import follow_start, server_command
from dask_bake.local.settings import Settings


def test_the_server_gets_the_settings_and_a_mount_namespace_of_its_own(monkeypatch):
    monkeypatch.setenv("PATH", "/bin")

    command = server_command(Settings(name="mine", root=Path("/srv/mine"), port=6000))

    assert command == [
        "env",
        "DASK_BAKE_LOCAL_NAME=mine",
        "DASK_BAKE_LOCAL_ROOT=/srv/mine",
        "DASK_BAKE_LOCAL_PORT=6000",
        "AWS_EC2_METADATA_DISABLED=true",
        f"PYTHONPATH={Path(__file__).parents[3] / 'launcher'}",
        "PYTHONDONTWRITEBYTECODE=1",
        "PATH=/bin:/usr/sbin:/sbin",
        "unshare",
        "--mount",
        "--propagation",
        "slave",
        sys.executable,
        "-m",
        "dask_bake.local.server",
    ]


def test_the_server_is_followed_until_it_is_ready():
    lines = iter(['{"ready": "10.0.0.0/20"}', "not read"])

    assert follow_start(lines)
    assert list(lines) == ["not read"]


def test_a_server_that_ends_without_output_was_not_ready():
    assert not follow_start([])


def test_a_server_that_cannot_start_is_an_error_with_its_message_and_hint():
    with pytest.raises(BakeError) as caught:
        follow_start(['{"error": "no room", "hint": "make some"}'])

    assert (caught.value.message, caught.value.hint) == ("no room", "make some")
