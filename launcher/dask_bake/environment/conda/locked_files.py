"""Locks of other tools: pixi.lock and conda-lock.yml, as specs and requirements of the same packages."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rattler
from rattler import exceptions

from dask_bake.environment.conda.channels import first_line
from dask_bake.errors import UsageError
from dask_bake.models.cloud import Architecture

ENVIRONMENT = "default"
CONDA_LOCK_VERSION = 1
ALWAYS = "main"
"""conda-lock's category of packages that are not optional."""


@dataclass(frozen=True)
class Pinned:
    """The contents of a lock: channels, conda's packages by address, and pip's by version."""

    channels: tuple[str, ...]
    specs: tuple[str, ...]
    requirements: tuple[str, ...]


def is_pixi_lock(content: Mapping[str, Any]) -> bool:
    """Return whether a YAML file is a pixi.lock."""
    return isinstance(content.get("environments"), dict) and "packages" in content


def is_conda_lock(content: Mapping[str, Any]) -> bool:
    """Return whether a YAML file is a conda-lock.yml."""
    return isinstance(content.get("package"), list) and isinstance(content.get("metadata"), dict)


def read_pixi_lock(path: Path, architecture: Architecture) -> Pinned:
    """Return what a pixi.lock pins for that platform in its default environment."""
    try:
        environments = dict(rattler.LockFile.from_path(path).environments())
    except exceptions.ParseCondaLockError as error:
        raise UsageError(
            f"{path.name} is not a pixi.lock: {first_line(error)}", hint="pixi lock writes it"
        ) from error
    environment = environments.get(ENVIRONMENT)
    platforms = environment.platforms() if environment else []
    platform = next((each for each in platforms if each.name == architecture.subdir), None)
    if environment is None or platform is None:
        raise _other_platform(path, architecture)
    records = environment.conda_repodata_records_for_platform(platform) or []
    packages = environment.pypi_packages_for_platform(platform) or []
    return Pinned(
        tuple(map(str, environment.channels())),
        tuple(_spec(record.url, record.sha256.hex() if record.sha256 else "") for record in records),
        tuple(_requirement(str(each.name), str(each.version), str(each.location)) for each in packages),
    )


def read_conda_lock(content: Mapping[str, Any], path: Path, architecture: Architecture) -> Pinned:
    """Return what a conda-lock.yml pins for that platform, without its optional packages."""
    if (version := content.get("version", CONDA_LOCK_VERSION)) != CONDA_LOCK_VERSION:
        raise UsageError(
            f"{path.name} is in version {version} of its format",
            hint="conda-lock 2 or newer writes version 1",
        )
    there = [each for each in content["package"] if isinstance(each, dict)]
    packages = [each for each in there if _is_wanted(each, architecture.subdir)]
    if not packages:
        raise _other_platform(path, architecture)
    channels = content["metadata"].get("channels") or ()
    try:
        return Pinned(
            tuple(str(each["url"] if isinstance(each, dict) else each) for each in channels),
            tuple(
                _spec(each["url"], each.get("hash", {}).get("sha256", ""))
                for each in packages
                if each["manager"] == "conda"
            ),
            tuple(
                _requirement(each["name"], each["version"], each["url"])
                for each in packages
                if each["manager"] == "pip"
            ),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{path.name} is not a conda-lock.yml: a package lacks {error}", hint="conda-lock writes it"
        ) from error


def _is_wanted(package: Mapping[str, Any], subdir: str) -> bool:
    categories: Iterable[str] = package.get("categories") or [package.get("category", ALWAYS)]
    return package.get("platform") == subdir and ALWAYS in categories and not package.get("optional")


def _spec(url: str, sha256: str) -> str:
    return f"{url}#sha256:{sha256}" if sha256 else url


def _requirement(name: str, version: str, location: str) -> str:
    """Return the requirement of one of pip's packages: a version of an index, or a folder or repository."""
    if location.startswith((".", "/")) and not location.endswith(".whl"):
        return location
    if location.startswith("git+"):
        return f"{name} @ {location}"
    return f"{name}=={version}"


def _other_platform(path: Path, architecture: Architecture) -> UsageError:
    return UsageError(
        f"{path.name} locks nothing for {architecture.subdir}", hint="add that platform, and lock again"
    )
