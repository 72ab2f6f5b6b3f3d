"""How packages get into an image: what each installer locks, and what it puts into the payload."""

import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from dask_bake.environment.conda.channels import Channels
from dask_bake.environment.conda.download import fetch as fetch_archives
from dask_bake.environment.conda.solve import CondaLock
from dask_bake.environment.pip import Target
from dask_bake.environment.pip import fetch as fetch_wheels
from dask_bake.environment.pip_lock import REQUIREMENT, Lock, Package, parse_lock
from dask_bake.environment.spec import Environment
from dask_bake.errors import BakeError
from dask_bake.events import Notify
from dask_bake.models.cloud import Architecture
from dask_bake.models.debian import NEWEST, OLDEST
from dask_bake.system.disk import explain_disk_errors
from dask_bake.system.files import add_file


class Installer(Protocol):
    """Brings everything that a script in the image needs to install the environment without a network."""

    @property
    def name(self) -> str:
        """The word for it in tags and manifest."""

    @property
    def environment(self) -> Environment:
        """What was asked for."""

    @property
    def lock(self) -> Lock:
        """Exactly what will be installed."""

    @property
    def files(self) -> Mapping[str, bytes]:
        """What decides what is installed, by the names that it has in the image's payload."""

    def bring(self, payload: Path, notify: Notify) -> int:
        """The number of bytes of packages that are in the payload now."""


@dataclass(frozen=True)
class PipInstaller:
    """Wheels by pip.lock, packed in payload/wheels.tar."""

    environment: Environment
    text: str
    cache: Path
    name: str = "pip"

    @property
    def lock(self) -> Lock:
        """What pip.lock says."""
        return parse_lock(self.text)

    @property
    def files(self) -> Mapping[str, bytes]:
        """environment.yml and pip.lock."""
        return {"environment.yml": self.environment.text, "pip.lock": self.text.encode()}

    def bring(self, payload: Path, notify: Notify) -> int:
        """The wheels' size, once they are all in wheels.tar."""
        return _pack_wheels(self.lock, payload, self.cache, notify)


@dataclass(frozen=True)
class CondaInstaller:
    """conda's archives by conda.lock, packed in payload/conda.tar; rattler installs them in the image.

    Args:
        pip_text: the pip.lock of the environment's pip part, which comes on top; empty where it has none.
        tool_text: rattler.lock.
    """

    environment: Environment
    conda_lock: CondaLock
    pip_text: str
    tool_text: str
    architecture: Architecture
    channels: Channels
    cache: Path
    name: str = "conda"

    @property
    def lock(self) -> Lock:
        """What conda.lock says, and pip.lock on top of it."""
        packages = [archive.package for archive in self.conda_lock.archives]
        if self.pip_text:
            packages += parse_lock(self.pip_text).packages
        return Lock(
            environment=self.environment.sha256,
            python=self.conda_lock.python,
            platform=self.architecture.machine,
            packages=tuple(packages),
        )

    @property
    def files(self) -> Mapping[str, bytes]:
        """environment.yml, conda.lock, rattler.lock, and pip.lock where there is a pip part."""
        files = {
            "environment.yml": self.environment.text,
            "conda.lock": self.conda_lock.text.encode(),
            "rattler.lock": self.tool_text.encode(),
        }
        return {**files, "pip.lock": self.pip_text.encode()} if self.pip_text else files

    def bring(self, payload: Path, notify: Notify) -> int:
        """The packages' size, once conda's archives, rattler and the wheels of the pip part are packed."""
        archives = fetch_archives(self.conda_lock, self.channels, self.cache / "conda", notify)
        size = _pack(archives, payload / "conda.tar")
        tool = rattler_wheel(self.tool_text, self.architecture)
        # Its wheel is of Python's stable ABI: what fits the oldest base fits every base.
        target = Target(OLDEST.python, self.architecture.machine)
        _pack(fetch_wheels([tool], target, self.cache / "wheels", notify), payload / "rattler.tar")
        if self.pip_text:
            size += _pack_wheels(parse_lock(self.pip_text), payload, self.cache / "wheels", notify)
        return size


def rattler_wheel(text: str, architecture: Architecture) -> Package:
    """The wheel of rattler.lock for that architecture."""
    for line in text.splitlines():
        machine, _, pinned = line.partition(" ")
        if machine == architecture.machine and (match := REQUIREMENT.fullmatch(pinned)):
            return Package(**match.groupdict())
    raise BakeError(f"rattler.lock has no wheel for {architecture.machine}", hint="install dask-bake again")


def _pack_wheels(lock: Lock, payload: Path, cache: Path, notify: Notify) -> int:
    target = Target(lock.python, lock.platform, NEWEST.glibc)
    wheels = fetch_wheels(lock.packages, target, cache, notify)
    return _pack(wheels, payload / "wheels.tar")


def _pack(files: Sequence[Path], tar: Path) -> int:
    """The files' size, once they are packed."""
    size = sum(file.stat().st_size for file in files)
    with explain_disk_errors(tar.parent, needed=size), tarfile.open(tar, "w") as archive:
        for file in files:
            add_file(archive, file, file.name)
    return size
