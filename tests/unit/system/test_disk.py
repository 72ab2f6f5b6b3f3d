"""Errors of the disk name the folder, and the space that is missing."""

import errno
import os

import pytest

from dask_bake.errors import BakeError
from dask_bake.system.disk import MIB, explain_disk_errors
from fakes import hint_of


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_names_the_space_that_is_needed(tmp_path, number):
    folder = tmp_path / "not" / "there"
    with pytest.raises(BakeError) as caught, explain_disk_errors(folder, needed=300 * MIB):
        raise OSError(number, os.strerror(number))

    assert f"not enough space in {folder}: about 300 MB are needed, " in caught.value.message
    assert "XDG_CACHE_HOME" in hint_of(caught.value)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_a_folder_without_permission_is_named(tmp_path, number):
    with pytest.raises(BakeError) as caught, explain_disk_errors(tmp_path, needed=1):
        raise OSError(number, os.strerror(number))

    assert caught.value.message == f"{tmp_path} cannot be written: {os.strerror(number)}"


def test_other_errors_are_not_explained(tmp_path):
    with pytest.raises(FileNotFoundError), explain_disk_errors(tmp_path, needed=1):
        raise FileNotFoundError(errno.ENOENT, "gone")
