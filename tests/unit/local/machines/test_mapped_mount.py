"""Mounts with mapped owners: where the kernel and the user permit them; test_isolation.py has the rest."""

import os

import pytest

from dask_bake.local.machines.mapped_mount import can_map, mapped
from dask_bake.local.user_namespace import first_user


@pytest.mark.parametrize("release", ["5.10.0-34-amd64", "5.18.1"])
def test_an_older_kernel_cannot_map_layers(tmp_path, release):
    assert not can_map(tmp_path, release)


def test_a_folder_that_does_not_exist_yet_is_judged_by_the_one_above_it(tmp_path):
    assert can_map(tmp_path / "a/b") == can_map(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may mount")
def test_a_user_cannot_map_layers(tmp_path):
    """The caller gets an error, and nothing is mounted."""
    assert not can_map(tmp_path)
    with (
        pytest.raises(PermissionError),
        mapped(tmp_path, tmp_path / "seen", first_user("10.0.0.4")),
    ):
        pass
