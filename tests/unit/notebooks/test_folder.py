"""Notebooks in a folder of this machine, where no file of anybody else's is changed."""

import stat

import pytest

from dask_bake.errors import BakeError
from dask_bake.models.cluster import Cluster
from dask_bake.notebooks.collect import Notebooks
from dask_bake.notebooks.folder import NotebookFolder, folder_of


@pytest.fixture
def folder(tmp_path) -> NotebookFolder:
    return NotebookFolder(tmp_path / "saved")


def files(folder: NotebookFolder) -> dict[str, str]:
    found = (path for path in folder.path.rglob("*") if path.is_file())
    return {path.relative_to(folder.path).as_posix(): path.read_bytes().decode() for path in found}


def test_notebooks_keep_their_folders_and_their_text(folder):
    folder.save(Notebooks({"a.ipynb": "1\r\n", "deep/er/b.ipynb": "é"}))

    assert files(folder) == {"a.ipynb": "1\r\n", "deep/er/b.ipynb": "é"}
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (folder.path, *folder.path.rglob("*"))}
    assert modes == {0o700, 0o600}


def test_without_notebooks_there_is_no_folder(folder):
    folder.save(Notebooks({}))

    assert not folder.path.exists()


def test_a_newer_text_replaces_what_was_saved_before(folder):
    for text in ("old", "new", "new"):
        folder.save(Notebooks({"a.ipynb": text}))

    assert files(folder) == {"a.ipynb": "new"}


def test_a_file_that_was_there_keeps_its_text(folder):
    """Also if it is one that an earlier command saved: the user may have gone on with it."""
    folder.save(Notebooks({"a.ipynb": "first"}))
    other = NotebookFolder(folder.path)

    other.save(Notebooks({"a.ipynb": "second"}))
    other.save(Notebooks({"a.ipynb": "third"}))
    NotebookFolder(folder.path).save(Notebooks({"a.ipynb": "third"}))

    assert files(folder) == {"a.ipynb": "first", "a-2.ipynb": "third"}


def test_a_file_that_the_user_has_changed_since_keeps_its_text(folder):
    folder.save(Notebooks({"a.ipynb": "saved"}))
    (folder.path / "a.ipynb").write_text("mine")

    folder.save(Notebooks({"a.ipynb": "newer"}))

    assert files(folder) == {"a.ipynb": "mine", "a-2.ipynb": "newer"}


def test_nothing_is_written_through_a_link(folder, tmp_path):
    folder.path.mkdir()
    (folder.path / "a.ipynb").symlink_to(tmp_path / "elsewhere")

    folder.save(Notebooks({"a.ipynb": "1"}))

    assert not (tmp_path / "elsewhere").exists()
    assert (folder.path / "a-2.ipynb").read_text() == "1"


def test_what_cannot_be_written_is_one_sentence(folder):
    folder.path.write_text("a file")

    with pytest.raises(BakeError, match=r"/saved/a\.ipynb cannot be written"):
        folder.save(Notebooks({"a.ipynb": "1"}))


@pytest.mark.parametrize(
    ("name", "launch_id", "expected"),
    [("dask", "4f5e", "dask-4f5e"), ("../up", "4f5e", "4f5e"), ("", "/", "unnamed")],
)
def test_each_launch_has_a_folder_in_the_user_s_home(name, launch_id, expected, tmp_path):
    cluster = Cluster(name, "aws", "us-east-1", launch_id, (), ())

    assert folder_of(cluster, {"HOME": str(tmp_path)}) == tmp_path / "dask-bake-notebooks" / expected
