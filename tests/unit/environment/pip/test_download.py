"""Wheels by a fake pip: resolved, downloaded by hash, cached."""

import errno
import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from dask_bake.environment.pip.build import Workshop
from dask_bake.environment.pip.download import fetch
from dask_bake.environment.pip.target import Target
from dask_bake.environment.pip_lock import Package
from dask_bake.errors import BakeError
from dask_bake.events import Notify
from dask_bake.models.debian import RUNNING_PYTHON
from dask_bake.system.disk import explain_disk_errors
from pip_index import make_project


def package(name: str, content: bytes) -> Package:
    return Package(name, "1", hashlib.sha256(content).hexdigest())


CONTENT = {"dask": b"a wheel", "pip": b"another"}
PACKAGES = tuple(package(name, content) for name, content in CONTENT.items())
TARGET = Target("3.11.2", "x86_64")
QUIET: Notify = [].append


class Pip:
    """A fake pip whose index has these wheels."""

    def __init__(self, **content: bytes) -> None:
        self.content = content
        self.calls: list[list[str]] = []

    def __call__(self, arguments: Sequence[str], folder: Path, notify: Notify) -> None:
        self.calls.append(list(arguments))
        options = dict(each.split("=", 1) for each in arguments if "=" in each)
        for line in Path(options["--requirement"]).read_text().splitlines():
            name = line.partition("==")[0]
            if name in self.content:
                Path(options["--dest"], f"{name}-1-py3-none-any.whl").write_bytes(self.content[name])


def test_wheels_are_kept_under_their_hashes(tmp_path: Path) -> None:
    found = fetch(PACKAGES, TARGET, tmp_path, QUIET, pip=Pip(**CONTENT))
    assert found == tuple(tmp_path / each.sha256 / f"{each.name}-1-py3-none-any.whl" for each in PACKAGES)
    assert sorted(tmp_path.iterdir()) == sorted(tmp_path / each.sha256 for each in PACKAGES)


def test_cached_wheels_are_not_downloaded_again(tmp_path: Path) -> None:
    first = fetch(PACKAGES, TARGET, tmp_path, QUIET, pip=Pip(**CONTENT))
    pip = Pip()
    assert fetch(PACKAGES, TARGET, tmp_path, QUIET, pip=pip) == first
    assert pip.calls == []


def test_a_damaged_wheel_is_downloaded_again(tmp_path: Path) -> None:
    first = fetch(PACKAGES, TARGET, tmp_path, QUIET, pip=Pip(**CONTENT))
    first[0].write_bytes(b"a whe")
    assert fetch(PACKAGES, TARGET, tmp_path, QUIET, pip=Pip(**CONTENT)) == first
    assert first[0].read_bytes() == b"a wheel"


def test_only_missing_wheels_are_requested_by_hash(tmp_path: Path) -> None:
    fetch(PACKAGES[:1], TARGET, tmp_path, QUIET, pip=Pip(**CONTENT))
    requested: list[str] = []

    def pip(arguments: Sequence[str], folder: Path, notify: Notify) -> None:
        requirement = next(each for each in arguments if each.startswith("--requirement="))
        requested.extend(Path(requirement.partition("=")[2]).read_text().splitlines())
        Pip(**CONTENT)(arguments, folder, notify)

    fetch(PACKAGES, TARGET, tmp_path, QUIET, pip=pip)
    assert requested == [f"pip==1 --hash=sha256:{PACKAGES[1].sha256}"]


def test_wheels_are_downloaded_by_hash_for_the_platform_of_the_image(tmp_path: Path) -> None:
    pip = Pip(**CONTENT)
    fetch(PACKAGES, TARGET, tmp_path, QUIET, pip=pip)
    (call,) = pip.calls
    assert call[:3] == ["download", "--no-deps", "--require-hashes"]
    assert call[5:9] == [
        "--only-binary=:all:",
        "--python-version=3.11.2",
        "--implementation=cp",
        "--platform=manylinux_2_36_x86_64",
    ]
    assert call[-1] == "--platform=manylinux2014_x86_64"


def test_a_wheel_with_another_hash_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BakeError) as caught:
        fetch(PACKAGES, TARGET, tmp_path, QUIET, pip=Pip(dask=b"not it", pip=b"another"))
    assert caught.value.message == "pip did not download dask 1 with the locked hash"


def test_a_wheel_that_was_built_is_built_again_if_the_cache_has_lost_it(tmp_path: Path) -> None:
    """A folder's wheel can be made anew, with the same bytes; other content is refused."""
    project = make_project(tmp_path / "lab", "lab")
    cache, target = tmp_path / "wheels", Target(f"{RUNNING_PYTHON}.1", "x86_64")
    made = Workshop(cache, tmp_path).make("lab", "./lab", target, QUIET)
    options = {"sources": {"lab": "./lab"}, "folder": tmp_path}
    shutil.rmtree(cache)
    (wheel,) = fetch([made], target, cache, QUIET, **options)
    assert wheel == cache / made.sha256 / "lab-1.0-py3-none-any.whl"
    shutil.rmtree(cache)
    (project / "lab.py").write_text("x = 2\n")
    with pytest.raises(
        BakeError, match=r"the wheel of lab that was made of \./lab is not the one that is locked"
    ):
        fetch([made], target, cache, QUIET, **options)


def test_a_project_that_cannot_be_built_is_an_error_with_the_builder_s_lines(tmp_path: Path) -> None:
    project = make_project(tmp_path / "lab", "lab")
    (project / "lab.py").unlink()
    with pytest.raises(BakeError, match=r"no wheel can be made of \./lab:\n(.|\n)*lab\.py"):
        Workshop(tmp_path / "wheels", tmp_path).make("lab", "./lab", TARGET, QUIET)


def test_options_for_the_index_are_used_for_the_download(tmp_path: Path) -> None:
    asked: list[str] = []

    def pip(arguments: Sequence[str], folder: Path, notify: Notify) -> None:
        requirement = next(each for each in arguments if each.startswith("--requirement="))
        asked.extend(Path(requirement.partition("=")[2]).read_text().splitlines())
        Pip(**CONTENT)(arguments, folder, notify)

    fetch(PACKAGES[:1], TARGET, tmp_path, QUIET, lines=["--find-links https://a.example/mine"], pip=pip)
    assert asked == ["--find-links https://a.example/mine", f"dask==1 --hash=sha256:{PACKAGES[0].sha256}"]


def test_a_full_disk_names_the_folder_and_what_is_needed(tmp_path: Path) -> None:
    def pip(arguments: Sequence[str], folder: Path, notify: Notify) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(BakeError) as caught:
        fetch(PACKAGES, TARGET, tmp_path, QUIET, pip=pip)
    assert caught.value.message.startswith(f"not enough space in {tmp_path}: about 600 MB are needed, ")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_write_permission_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(BakeError, match="cannot be written: Permission denied"),
        explain_disk_errors(tmp_path, needed=1),
    ):
        raise PermissionError(errno.EACCES, "Permission denied")
