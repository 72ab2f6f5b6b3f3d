"""Locked packages of an environment, and pip.lock, a requirements file with hashes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from dask_bake.errors import BakeError

REQUIREMENT = re.compile(r"(?P<name>\S+)==(?P<version>\S+) --hash=sha256:(?P<sha256>[0-9a-f]{64})")
SOURCE = re.compile(r"# source: (?P<name>\S+) (?P<source>.+)")
INPUT = re.compile(r"# input: (?P<sha256>[0-9a-f]{64}) (?P<path>.+)")
INTERPRETER = re.compile(
    r"# interpreter: (?P<name>cpython-\d+\.\d+\.\d+-linux-\w+-gnu) (?P<sha256>[0-9a-f]{64})"
)
HEADER = re.compile(r"# (?P<key>environment|python|platform): (?P<value>.+)")


@dataclass(frozen=True)
class Package:
    """One package of an image; ``build``, ``channel`` and ``subdir`` are empty for a wheel."""

    name: str
    version: str
    sha256: str
    kind: str = "pypi"
    build: str = ""
    channel: str = ""
    subdir: str = ""


@dataclass(frozen=True)
class Interpreter:
    """A build of CPython by uv's name of it, ``cpython-3.12.12-linux-x86_64-gnu``, and its archive's hash."""

    name: str
    sha256: str

    @property
    def version(self) -> str:
        """Return its version: ``3.12.12``."""
        return self.name.split("-")[1]

    def __str__(self) -> str:
        return f"{self.name} {self.sha256}"


@dataclass(frozen=True)
class Lock:
    """Every package of an environment, resolved for one Python on one platform.

    ``environment`` is the sha256 of its environment.yml; ``platform`` is Linux's name for the processor
    architecture.

    Args:
        sources: what the wheels of some packages are made of, by the packages' names.
        inputs: hashes of files and folders that the environment names, by their paths relative to it.
        interpreter: the Python that the image gets; ``None`` for the base image's own, or conda's.
    """

    environment: str
    python: str
    platform: str
    packages: tuple[Package, ...]
    sources: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    interpreter: Interpreter | None = None

    def version(self, name: str) -> str:
        """Return the version of a package; empty if the lock does not have it."""
        return next((package.version for package in self.packages if package.name == name), "")


def parse_lock(text: str) -> Lock:
    """Parse a pip.lock."""
    headers: dict[str, str] = {}
    packages: list[Package] = []
    sources: dict[str, str] = {}
    inputs: dict[str, str] = {}
    interpreter = None
    for line in text.splitlines():
        if header := HEADER.fullmatch(line):
            headers[header["key"]] = header["value"]
        elif brought := INTERPRETER.fullmatch(line):
            interpreter = Interpreter(**brought.groupdict())
        elif source := SOURCE.fullmatch(line):
            sources[source["name"]] = source["source"]
        elif found := INPUT.fullmatch(line):
            inputs[found["path"]] = found["sha256"]
        elif pinned := REQUIREMENT.fullmatch(line):
            packages.append(Package(**pinned.groupdict()))
        elif line and not line.startswith("#"):
            raise BakeError(
                f"pip.lock has a line that is not a pinned, hashed package: {line}", hint="run dask-bake lock"
            )
    if missing := [key for key in ("environment", "python", "platform") if key not in headers]:
        raise BakeError(f"pip.lock does not say its {', '.join(missing)}", hint="run dask-bake lock")
    listed = tuple(packages)
    return Lock(**headers, packages=listed, sources=sources, inputs=inputs, interpreter=interpreter)


def render_lock(lock: Lock) -> str:
    """Return the text of a pip.lock."""
    lines = [
        "# Made from environment.yml by `dask-bake lock`: change that file, not this one.",
        f"# environment: {lock.environment}",
        f"# python: {lock.python}",
        f"# platform: {lock.platform}",
        *([f"# interpreter: {lock.interpreter}"] if lock.interpreter else []),
        *(f"# input: {sha256} {path}" for path, sha256 in sorted(lock.inputs.items())),
        *(f"# source: {name} {source}" for name, source in sorted(lock.sources.items())),
    ]
    return "\n".join([*lines, *map(requirement, lock.packages)]) + "\n"


def requirement(package: Package) -> str:
    """Return the pinned requirement of a package, with its hash."""
    return f"{package.name}=={package.version} --hash=sha256:{package.sha256}"
