"""Programs that the local cloud needs."""

import pytest

from dask_bake.errors import BakeError
from dask_bake.local.requirements import missing_packages, require_programs, root_prefix


def absent(*programs: str):
    return lambda program: None if program in programs else f"/usr/bin/{program}"


def test_missing_programs_are_an_error_with_the_command_that_installs_their_packages():
    with pytest.raises(BakeError) as caught:
        require_programs(absent("systemd-nspawn", "mmdebstrap"))

    assert (caught.value.message, caught.value.hint) == (
        "the local cloud needs Debian packages that are not installed: mmdebstrap systemd-container",
        "apt-get install mmdebstrap systemd-container",
    )


def test_with_all_programs_installed_nothing_is_missing():
    assert missing_packages(absent()) == ()
    require_programs(absent())


@pytest.mark.parametrize(
    ("sudo", "message"),
    [
        (None, "the local cloud needs root to boot machines, and sudo is not installed"),
        ("exit 1", "the local cloud needs root to boot machines, and sudo asks this user for a password"),
    ],
)
def test_a_user_without_sudo_is_told_whether_it_is_missing_or_asks_for_a_password(
    sudo, message, tmp_path, monkeypatch
):
    if sudo:
        (tmp_path / "sudo").write_text(f"#!/bin/sh\n{sudo}\n")
        (tmp_path / "sudo").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(BakeError) as caught:
        root_prefix(user_id=1000)

    assert caught.value.message == message


def test_root_needs_no_sudo(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))

    assert root_prefix(user_id=0) == []
