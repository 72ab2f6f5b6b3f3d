"""How a lock's conda packages are verified and installed from their archives, by the real rattler."""

import json
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import rattler

from conda_channel import index_channel, solved
from conda_packages import make_package
from conda_server import serve
from image_scripts import PACKER

PROGRAM = PACKER / "scripts" / "install_conda_packages.py"


class Instance:
    """A lock of two packages, their archives, and a prefix without packages."""

    def __init__(self, folder: Path, platform: str) -> None:
        self.lock, self.work, self.prefix = folder / "conda.lock", folder / "work", folder / "prefix"
        self.archives = self.work / "archives"
        for path in (self.archives, self.prefix):
            path.mkdir(parents=True)
        channel = folder / "channel"
        make_package(channel, "one", "1.0", ["two"], {"share/one.txt": "1\n"})
        make_package(channel, "two", "2.0", files={"share/two.txt": "2\n"})
        index_channel(channel)
        with serve(channel) as served:
            self.records = solved(served.url, ["one"], folder / "cache")
        for record in self.records:
            shutil.copy(channel / record.subdir / record.file_name, self.archives)
        lock = rattler.LockFile([rattler.LockPlatform(platform)])
        lock.set_channels("default", [rattler.LockChannel(served.url)])
        for record in self.records:
            lock.add_conda_package("default", rattler.LockPlatform(platform), record)
        lock.to_path(self.lock)

    def install(self) -> "subprocess.CompletedProcess[str]":
        """Run the program as 20-conda.sh does."""
        command = [sys.executable, str(PROGRAM), str(self.lock), str(self.work), str(self.prefix)]
        return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    return Instance(tmp_path, str(rattler.Subdir.current()))


def test_the_packages_are_linked_and_conda_knows_where_they_came_from(instance: Instance) -> None:
    done = instance.install()
    metadata = [instance.prefix / "conda-meta" / f"{name}.json" for name in ("one-1.0-0", "two-2.0-0")]

    assert (done.returncode, done.stderr) == (0, "")
    assert (instance.prefix / "share/one.txt").read_text() == "1\n"
    assert (instance.prefix / "share/two.txt").read_text() == "2\n"
    assert {json.loads(path.read_text())["url"] for path in metadata} == {one.url for one in instance.records}
    assert [stat.S_IMODE(path.stat().st_mode) for path in metadata] == [0o644, 0o644]
    assert (instance.prefix / "conda-meta/history").exists()


def test_an_archive_that_is_not_the_locked_one_ends_the_build(instance: Instance) -> None:
    name = sorted(one.file_name for one in instance.records)[0]
    (instance.archives / name).write_bytes(b"other")
    done = instance.install()

    assert (done.returncode, done.stderr) == (1, f"{name} is not the package that is locked\n")
    assert list(instance.prefix.iterdir()) == []


def test_a_lock_of_another_platform_ends_the_build(tmp_path: Path) -> None:
    instance = Instance(tmp_path, "osx-64")
    done = instance.install()

    here = rattler.Subdir.current()
    assert (done.returncode, done.stderr) == (1, f"{instance.lock} has no packages for {here}\n")
