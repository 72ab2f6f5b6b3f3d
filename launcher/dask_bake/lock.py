"""environment.yml and pip.lock as values: what was asked for, and exactly what that resolved to."""

import hashlib
import re
from dataclasses import dataclass

import yaml

from dask_bake.errors import BakeError, UsageError
from dask_bake.manifest import Package

# conda's dask brings along what pip calls extras.
CONDA_TO_PIP = {"dask": "dask[array,dataframe,diagnostics,distributed]"}
DEPENDENCY = re.compile(
    r"(?:[\w.-]+::)?(?P<name>[A-Za-z0-9][\w.-]*)\s*(?P<version>[=<>!~][^\s=<>!~][^\s=]*|[=<>!~]=[^\s=]+)?"
)
REQUIREMENT = re.compile(r"(?P<name>\S+)==(?P<version>\S+) --hash=sha256:(?P<sha256>[0-9a-f]{64})")
HEADER = re.compile(r"# (?P<key>environment|python|platform): (?P<value>.+)")


@dataclass(frozen=True)
class Lock:
    """Every package of an environment, resolved for one Python on one platform.

    ``environment`` is the sha256 of the environment.yml that it was made from.
    """

    environment: str
    python: str
    platform: str
    packages: tuple[Package, ...]

    def version(self, name: str) -> str:
        """The version of a package that is in the lock."""
        return next(package.version for package in self.packages if package.name == name)


def parse_lock(text: str) -> Lock:
    """The lock that the text of a pip.lock says."""
    headers: dict[str, str] = {}
    packages: list[Package] = []
    for line in text.splitlines():
        if header := HEADER.fullmatch(line):
            headers[header["key"]] = header["value"]
        elif requirement := REQUIREMENT.fullmatch(line):
            packages.append(Package(**requirement.groupdict()))
        elif line and not line.startswith("#"):
            raise BakeError(
                f"pip.lock has a line that is not a pinned, hashed package: {line}", hint="run dask-bake lock"
            )
    if missing := [key for key in ("environment", "python", "platform") if key not in headers]:
        raise BakeError(f"pip.lock does not say its {', '.join(missing)}", hint="run dask-bake lock")
    return Lock(**headers, packages=tuple(packages))


def render_lock(lock: Lock) -> str:
    """The lock as pip reads it."""
    lines = [
        "# Made from environment.yml by `dask-bake lock`: change that file, not this one.",
        f"# environment: {lock.environment}",
        f"# python: {lock.python}",
        f"# platform: {lock.platform}",
    ]
    lines += [
        f"{package.name}=={package.version} --hash=sha256:{package.sha256}" for package in lock.packages
    ]
    return "\n".join(lines) + "\n"


def check_lock(lock: Lock, environment: bytes) -> None:
    """Raises unless the lock was made from this environment.yml."""
    if lock.environment != hashlib.sha256(environment).hexdigest():
        raise BakeError(
            "environment.yml is not the one that pip.lock was made from", hint="run dask-bake lock"
        )


def pip_requirements(environment: bytes) -> tuple[str, ...]:
    """What pip is asked for: the environment's packages without Python, and pip itself."""
    dependencies = _dependencies(environment)
    plain = [dependency for dependency in dependencies if isinstance(dependency, str)]
    for_pip = [
        str(requirement)
        for dependency in dependencies
        if isinstance(dependency, dict)
        for requirement in dependency.get("pip") or ()
    ]
    wanted = [
        _pip_requirement(dependency)
        for dependency in plain
        if not re.match(r"(python|pip)\b(?![-.])", dependency)
    ]
    return (*wanted, *for_pip, "pip")


def _dependencies(environment: bytes) -> list[object]:
    try:
        content = yaml.safe_load(environment)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"environment.yml is not YAML: {error}", hint="it is conda's format") from error
    dependencies = content.get("dependencies") if isinstance(content, dict) else None
    if not isinstance(dependencies, list):
        raise UsageError("environment.yml has no list of dependencies", hint="it is conda's format")
    return dependencies


def _pip_requirement(dependency: str) -> str:
    match = DEPENDENCY.fullmatch(dependency.strip())
    if match is None:
        raise UsageError(
            f"environment.yml asks for {dependency!r}, which pip cannot be asked for",
            hint="name, or name=1.2",
        )
    version = match["version"] or ""
    if re.match(r"=[^=]", version):
        version = f"={version.removesuffix('.*')}.*"
    return CONDA_TO_PIP.get(match["name"], match["name"]) + version
