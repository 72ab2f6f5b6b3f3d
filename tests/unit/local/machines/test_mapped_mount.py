"""Mounts with mapped owners: where the kernel and the user permit them; test_isolation.py has the rest."""

import pytest

from dask_bake.local.machines.mapped_mount import can_map


@pytest.mark.parametrize("release", ["5.10.0-34-amd64", "5.18.1"])
def test_an_older_kernel_cannot_map_layers(tmp_path, release):
    assert not can_map(tmp_path, release)


def test_a_folder_that_does_not_exist_yet_is_judged_by_the_one_above_it(tmp_path):
    assert can_map(tmp_path / "a/b") == can_map(tmp_path)


@pytest.mark.parametrize(("release", "expected"), [("5.18.1", False), ("6.1.0-40-amd64", True)])
def test_for_a_user_who_may_not_mount_the_kernel_s_release_decides(tmp_path, release, expected):
    assert can_map(tmp_path, release, user_id=1000) == expected
