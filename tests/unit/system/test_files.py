"""Folders that only their owner can enter."""

import os

import pytest

from dask_bake.errors import BakeError
from dask_bake.system.files import make_private


def test_a_new_folder_and_an_existing_one_are_the_owners_alone(tmp_path):
    (tmp_path / "old").mkdir(mode=0o755)

    for folder in (tmp_path / "old", tmp_path / "new", tmp_path / "new/inner"):
        make_private(folder)
        assert folder.stat().st_mode & 0o7777 == 0o700


def test_a_link_is_refused_as_somebody_else_may_have_made_it(tmp_path):
    (tmp_path / "elsewhere").mkdir(mode=0o755)
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(BakeError, match="is a link, or belongs to another user"):
        make_private(tmp_path / "link")

    assert (tmp_path / "elsewhere").stat().st_mode & 0o7777 == 0o755


def test_missing_folders_above_are_the_owners_alone_whatever_the_umask(tmp_path):
    """Who can rename in one of them can put another folder into the place of the private one."""
    before = os.umask(0)
    try:
        make_private(tmp_path / "a/b/c")
    finally:
        os.umask(before)

    assert {(tmp_path / name).stat().st_mode & 0o7777 for name in ("a", "a/b", "a/b/c")} == {0o700}
