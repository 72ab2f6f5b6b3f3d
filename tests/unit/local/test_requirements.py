"""Programs that the local cloud needs."""

import pytest

from dask_bake.errors import BakeError
from dask_bake.local.requirements import missing_packages, require_programs


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
