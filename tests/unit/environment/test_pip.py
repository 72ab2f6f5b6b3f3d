"""Wheels by a fake pip: resolved, downloaded by hash, cached."""

import errno
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from dask_bake.environment import pip as wheels
from dask_bake.environment.pip_lock import Package
from dask_bake.errors import BakeError
from dask_bake.events import Event, Notify
from dask_bake.system.disk import explain_disk_errors


def package(name: str, content: bytes) -> Package:
    return Package(name, "1", hashlib.sha256(content).hexdigest())


CONTENT = {"dask": b"a wheel", "pip": b"another"}
PACKAGES = tuple(package(name, content) for name, content in CONTENT.items())
TARGET = wheels.Target("3.11.2", "x86_64")
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
    found = wheels.fetch(PACKAGES, TARGET, tmp_path, QUIET, pip=Pip(**CONTENT))
    assert found == tuple(tmp_path / each.sha256 / f"{each.name}-1-py3-none-any.whl" for each in PACKAGES)
    assert sorted(tmp_path.iterdir()) == sorted(tmp_path / each.sha256 for each in PACKAGES)


def test_cached_wheels_are_not_downloaded_again(tmp_path: Path) -> None:
    first = wheels.fetch(PACKAGES, TARGET, tmp_path, QUIET, pip=Pip(**CONTENT))
    pip = Pip()
    assert wheels.fetch(PACKAGES, TARGET, tmp_path, QUIET, pip=pip) == first
    assert pip.calls == []


def test_a_damaged_wheel_is_downloaded_again(tmp_path: Path) -> None:
    first = wheels.fetch(PACKAGES, TARGET, tmp_path, QUIET, pip=Pip(**CONTENT))
    first[0].write_bytes(b"a whe")
    assert wheels.fetch(PACKAGES, TARGET, tmp_path, QUIET, pip=Pip(**CONTENT)) == first
    assert first[0].read_bytes() == b"a wheel"


def test_only_missing_wheels_are_requested_by_hash(tmp_path: Path) -> None:
    wheels.fetch(PACKAGES[:1], TARGET, tmp_path, QUIET, pip=Pip(**CONTENT))
    requested: list[str] = []

    def pip(arguments: Sequence[str], folder: Path, notify: Notify) -> None:
        requirement = next(each for each in arguments if each.startswith("--requirement="))
        requested.extend(Path(requirement.partition("=")[2]).read_text().splitlines())
        Pip(**CONTENT)(arguments, folder, notify)

    wheels.fetch(PACKAGES, TARGET, tmp_path, QUIET, pip=pip)
    assert requested == [f"pip==1 --hash=sha256:{PACKAGES[1].sha256}"]


def test_wheels_are_downloaded_by_hash_for_the_platform_of_the_image(tmp_path: Path) -> None:
    pip = Pip(**CONTENT)
    wheels.fetch(PACKAGES, TARGET, tmp_path, QUIET, pip=pip)
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
        wheels.fetch(PACKAGES, TARGET, tmp_path, QUIET, pip=Pip(dask=b"not it", pip=b"another"))
    assert caught.value.message == "pip did not download dask 1 with the locked hash"


def test_packages_are_what_pip_resolved() -> None:
    report = {
        "install": [
            {
                "metadata": {"name": name, "version": "1"},
                "download_info": {"archive_info": {"hashes": {"sha256": digest * 64}}},
            }
            for name, digest in [("Zict", "2"), ("importlib_metadata", "1")]
        ]
    }

    def pip(arguments: Sequence[str], folder: Path, notify: Notify) -> None:
        assert arguments[-2:] == ["dask[array]", "pip"]
        options = dict(each.split("=", 1) for each in arguments if "=" in each)
        assert Path(options["--constraint"]).read_text() == "numpy==2.1\n"
        Path(options["--report"]).write_text(json.dumps(report))

    target = wheels.Target(f"3.{wheels.sys.version_info.minor}.2", "x86_64")
    found = wheels.resolve(["dask[array]", "pip"], target, notify=QUIET, constraints=["numpy==2.1"], pip=pip)
    assert found == (Package("importlib-metadata", "1", "1" * 64), Package("zict", "1", "2" * 64))


def test_pip_cannot_resolve_for_another_python() -> None:
    with pytest.raises(BakeError, match=r"a lock for Python 3\.9\.1 cannot be made by Python 3\."):
        wheels.resolve([], wheels.Target("3.9.1", "x86_64"), notify=QUIET, pip=Pip())


def test_the_error_has_pip_s_last_lines(tmp_path: Path) -> None:
    events: list[Event] = []
    with pytest.raises(BakeError) as caught:
        wheels.run_pip(
            ["download", "--no-index", f"--dest={tmp_path}", "no-such-project"], tmp_path, events.append
        )
    lines = caught.value.message.splitlines()
    assert lines[0] == "pip download failed:"
    assert lines[-1] == "  ERROR: No matching distribution found for no-such-project"


def test_a_full_disk_names_the_folder_and_what_is_needed(tmp_path: Path) -> None:
    def pip(arguments: Sequence[str], folder: Path, notify: Notify) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(BakeError) as caught:
        wheels.fetch(PACKAGES, TARGET, tmp_path, QUIET, pip=pip)
    assert caught.value.message.startswith(f"not enough space in {tmp_path}: about 600 MB are needed, ")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_write_permission_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(BakeError, match="cannot be written: Permission denied"),
        explain_disk_errors(tmp_path, needed=1),
    ):
        raise PermissionError(errno.EACCES, "Permission denied")
