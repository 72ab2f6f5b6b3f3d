"""The size of a tree is what it takes on disk."""

import os

from dask_bake.local.storage.disk_usage import bytes_on_disk


def test_a_file_of_two_names_counts_once_and_what_a_link_names_not_at_all(tmp_path):
    outside, one, two = (tmp_path / name for name in ("outside", "one", "two"))
    for folder in (outside, one, two):
        folder.mkdir()
    (outside / "large").write_bytes(os.urandom(1_000_000))
    (one / "file").write_bytes(os.urandom(100_000))
    alone = bytes_on_disk([one])
    (two / "same").hardlink_to(one / "file")
    (two / "link").symlink_to(outside / "large")
    (two / "folder").symlink_to(outside)

    assert 100_000 <= alone < 150_000
    assert bytes_on_disk([one, two]) < 200_000


def test_a_tree_that_is_not_there_takes_nothing(tmp_path):
    assert bytes_on_disk([tmp_path / "none"]) == 0
