"""Installers: lock and payload for pip and for conda."""

import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from dask_bake.environment.conda.channels import Channels
from dask_bake.environment.conda.download import fetch as fetch_archives
from dask_bake.environment.conda.solve import CondaLock
from dask_bake.environment.pip.download import fetch as fetch_wheels
from dask_bake.environment.pip.interpreter import bring as bring_interpreter
from dask_bake.environment.pip.requirement_files import for_resolvers
from dask_bake.environment.pip.target import Target
from dask_bake.environment.pip_lock import REQUIREMENT, Lock, Package, parse_lock
from dask_bake.environment.spec import Environment
from dask_bake.environment.variables import variables_file
from dask_bake.errors import BakeError
from dask_bake.events import Note, Notify
from dask_bake.models.cloud import Architecture
from dask_bake.models.debian import NEWEST, OLDEST
from dask_bake.system.disk import explain_disk_errors
from dask_bake.system.files import add_file

ENVIRONMENT_FILE = "environment.yml"
"""Name of the requested environment among the input files."""


class Installer(Protocol):
    """Packs all that a script in the image needs to install the environment offline."""

    @property
    def name(self) -> str:
        """Return the installer's name in tags and manifest."""

    @property
    def environment(self) -> Environment:
        """Return the requested environment."""

    @property
    def lock(self) -> Lock:
        """Return the packages to install."""

    @property
    def files(self) -> Mapping[str, bytes]:
        """Return the input files of the installation by name; all but environment.yml are in the payload."""

    def bring(self, payload: Path, notify: Notify) -> int:
        """Put the packages into the payload and return their size in bytes."""


@dataclass(frozen=True)
class PipInstaller:
    """Installer of the wheels in pip.lock, packed in payload/wheels.tar; uv installs them.

    With them comes payload/python.tar.gz, if the lock names a build of Python.

    Args:
        text: the text of pip.lock.
        tool_text: the text of installers.lock.
    """

    environment: Environment
    text: str
    tool_text: str
    cache: Path
    name: str = "pip"
    folder: Path = field(default_factory=Path.cwd)

    @property
    def lock(self) -> Lock:
        """Return the packages of pip.lock."""
        return parse_lock(self.text)

    @property
    def files(self) -> Mapping[str, bytes]:
        """Return environment.yml and its variables, and pip.lock."""
        return {
            **_inputs(self.environment),
            "pip.lock": self.text.encode(),
            "installers.lock": self.tool_text.encode(),
        }

    def bring(self, payload: Path, notify: Notify) -> int:
        """Pack the wheels into wheels.tar, add the Python of the lock, and return the size of both."""
        lock, size = self.lock, 0
        if lock.interpreter is not None:
            pythons, archive = self.cache.with_name("pythons"), payload / "python.tar.gz"
            size = bring_interpreter(lock.interpreter, pythons, self.folder, archive, notify)
        size += _pack_wheels(lock, self.environment, self.folder, payload, self.cache, notify)
        _pack_uv(self.tool_text, lock.platform, payload, self.cache, notify)
        return size


@dataclass(frozen=True)
class CondaInstaller:
    """Installer of the archives in conda.lock, packed in payload/conda.tar; rattler unpacks them.

    Args:
        pip_text: the conda.pip.lock of the environment's pip part; empty without one.
        tool_text: the text of installers.lock.
    """

    environment: Environment
    conda_lock: CondaLock
    pip_text: str
    tool_text: str
    architecture: Architecture
    channels: Channels
    cache: Path
    name: str = "conda"
    folder: Path = field(default_factory=Path.cwd)

    @property
    def lock(self) -> Lock:
        """Return the packages of conda.lock and of pip.lock."""
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
        """Return environment.yml and its variables, the locks, and pip.lock if there is a pip part."""
        files = {
            **_inputs(self.environment),
            "conda.lock": self.conda_lock.text.encode(),
            "installers.lock": self.tool_text.encode(),
        }
        return {**files, "pip.lock": self.pip_text.encode()} if self.pip_text else files

    def bring(self, payload: Path, notify: Notify) -> int:
        """Pack the archives, the pip part's wheels, and what installs them; return the size without that."""
        archives = fetch_archives(self.conda_lock, self.channels, self.cache / "conda", notify)
        size = _pack(archives, payload / "conda.tar")
        machine, wheels = self.architecture.machine, self.cache / "wheels"
        _pack(_fetch_tool("py-rattler", self.tool_text, machine, wheels, notify), payload / "rattler.tar")
        if self.pip_text:
            lock = parse_lock(self.pip_text)
            size += _pack_wheels(lock, self.environment, self.folder, payload, wheels, notify)
            _pack_uv(self.tool_text, machine, payload, wheels, notify)
        return size


def installers_lock(packer_files: Path) -> str:
    """Return the text of installers.lock, which says what installs packages in an image."""
    return (packer_files / "installers.lock").read_text()


def tool_wheel(name: str, text: str, machine: str) -> Package:
    """Return an installer's wheel in installers.lock, for Linux's name of a processor architecture.

    Raises:
        BakeError: if there is none.
    """
    for line in text.splitlines():
        architecture, _, pinned = line.partition(" ")
        match = REQUIREMENT.fullmatch(pinned)
        if architecture == machine and match and match["name"] == name:
            return Package(**match.groupdict())
    raise BakeError(f"installers.lock has no wheel of {name} for {machine}", hint="install dask-bake again")


def _fetch_tool(name: str, text: str, machine: str, cache: Path, notify: Notify) -> Sequence[Path]:
    # The wheels fit every Python from 3.10 on: one for the oldest base fits every base.
    target = Target(OLDEST.python, machine)
    return fetch_wheels([tool_wheel(name, text, machine)], target, cache, notify)


def _pack_uv(text: str, machine: str, payload: Path, cache: Path, notify: Notify) -> None:
    """Pack uv, unless the index of pip's settings does not have it: then pip installs, which takes longer."""
    try:
        wheel = _fetch_tool("uv", text, machine, cache, notify)
    except BakeError as error:
        why = error.message.splitlines()[0].rstrip(":.")
        notify(Note(f"pip installs the packages in the image, as uv's wheel is not to be had: {why}."))
    else:
        _pack(wheel, payload / "uv.tar")


def _inputs(environment: Environment) -> dict[str, bytes]:
    variables = environment.variables
    return {
        ENVIRONMENT_FILE: environment.text,
        **({"variables.env": variables_file(variables)} if variables else {}),
    }


def _pack_wheels(
    lock: Lock, environment: Environment, folder: Path, payload: Path, cache: Path, notify: Notify
) -> int:
    wheels = fetch_wheels(
        lock.packages,
        Target(lock.python, lock.platform, NEWEST.glibc, lock.interpreter),
        cache,
        notify,
        sources=lock.sources,
        folder=folder,
        lines=for_resolvers(environment.requirements, folder),
    )
    return _pack(wheels, payload / "wheels.tar")


def _pack(files: Sequence[Path], tar: Path) -> int:
    """Pack the files and return their size."""
    size = sum(file.stat().st_size for file in files)
    with explain_disk_errors(tar.parent, needed=size), tarfile.open(tar, "w") as archive:
        for file in files:
            add_file(archive, file, file.name)
    return size
