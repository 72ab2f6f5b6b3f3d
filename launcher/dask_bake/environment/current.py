"""The running Python's environment as an environment.yml, so that client and cluster match."""

import importlib.metadata
import json
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import Distribution
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import yaml

from dask_bake.environment.names import normalized_name, without_secrets
from dask_bake.models.debian import RUNNING_PYTHON

DASK_BAKE = "dask-bake"
# Their dependencies stay, even if dask-bake requires them, too.
DASK_PROJECTS = ("dask", "distributed")


@dataclass(frozen=True)
class OwnEnvironment:
    """The running Python's environment.yml, and the projects that it leaves out as their sources are gone."""

    text: bytes
    left_out: tuple[str, ...]


def own_environment(
    prefix: Path = Path(sys.prefix), distributions: Iterable[Distribution] | None = None
) -> OwnEnvironment:
    """Return the running Python's packages, pinned: conda's as specs, others as requirements.

    A package that was installed from a folder or a repository comes from there again, editable ones included.
    Excluded are dask-bake, and packages that only dask-bake needs.
    """
    there = list(importlib.metadata.distributions() if distributions is None else distributions)
    by_name = {normalized_name(each.metadata["Name"]): each for each in there if each.metadata["Name"]}
    conda = _conda_packages(prefix)
    direct = {name: _requirement(name, each) for name, each in by_name.items() if _is_direct(each)}
    gone = sorted(name for name, line in direct.items() if not line and name != DASK_BAKE)
    dropped = {DASK_BAKE, *gone, *_own_dependencies(by_name)}
    from_conda = {name for name, each in by_name.items() if _installer(each) == "conda"}
    pip = [
        direct.get(name) or f"{name}=={each.version}"
        for name, each in sorted(by_name.items())
        if name not in dropped and name not in from_conda and name != "pip"
    ]
    python = f"python={RUNNING_PYTHON}"
    specs = [
        f"{name}={version}"
        for name, version in sorted(conda.items())
        if name not in ("python", "pip", DASK_BAKE)
    ]
    document = {
        "name": "from-env",
        "dependencies": [python, "pip", *specs, *([{"pip": pip}] if pip else [])],
    }
    return OwnEnvironment(yaml.safe_dump(document, sort_keys=False).encode(), tuple(gone))


def is_of_python(depends: Iterable[str]) -> bool:
    """Return whether a conda package with these dependencies is a Python package."""
    return any(re.match(r"python(?:_abi)?\b", needed) for needed in depends)


def _conda_packages(prefix: Path) -> dict[str, str]:
    """Return the Python packages of a conda environment, without platform-specific libraries."""
    found = {}
    for path in (prefix / "conda-meta").glob("*.json"):
        record = json.loads(path.read_text(encoding="utf-8"))
        if is_of_python(record.get("depends", ())):
            found[record["name"]] = record["version"]
    return found


def _own_dependencies(by_name: dict[str, Distribution]) -> set[str]:
    """Return the packages that only dask-bake needs, directly or indirectly."""
    wanted_by: dict[str, set[str]] = {}
    for name, each in by_name.items():
        for needed in _needs(each, with_extras=name == DASK_BAKE):
            wanted_by.setdefault(needed, set()).add(name)
    candidates = {
        name
        for name, each in by_name.items()
        if name not in DASK_PROJECTS and each.read_text("REQUESTED") is None
    }
    ours = {DASK_BAKE}
    while more := {name for name in candidates - ours if wanted_by.get(name, {""}) <= ours}:
        ours |= more
    return ours


def _needs(distribution: Distribution, *, with_extras: bool) -> set[str]:
    return {
        normalized_name(re.split(r"[\s\[<>=!~;(]", line, maxsplit=1)[0])
        for line in distribution.requires or ()
        if with_extras or "extra ==" not in line
    }


def _installer(distribution: Distribution) -> str:
    return (distribution.read_text("INSTALLER") or "").strip()


def _is_direct(distribution: Distribution) -> bool:
    """Return whether the package was installed from a URL or a folder (PEP 610)."""
    return distribution.read_text("direct_url.json") is not None


def _requirement(name: str, distribution: Distribution) -> str:
    """Return the requirement of a package that came from a URL or a folder; empty if that is gone."""
    record = json.loads(distribution.read_text("direct_url.json") or "{}")
    url, tail = without_secrets(record.get("url", "")), record.get("subdirectory")
    if vcs := record.get("vcs_info"):
        url = f"{vcs['vcs']}+{url}@{vcs['commit_id']}"
    elif url.startswith("file:") and not Path(url2pathname(urlsplit(url).path)).exists():
        return ""
    return f"{name} @ {url}{f'#subdirectory={tail}' if tail else ''}" if url else ""
