"""Environments in the files of other tools, written as an environment.yml."""

import os
import re
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from dask_bake.environment.conda.locked_files import (
    Pinned,
    is_conda_lock,
    is_pixi_lock,
    read_conda_lock,
    read_pixi_lock,
)
from dask_bake.environment.pip.host_pip import find_uv, run_lines
from dask_bake.errors import UsageError
from dask_bake.models.cloud import Architecture
from dask_bake.models.tags import DEFAULT_ENVIRONMENT
from dask_bake.options.text_files import parse_yaml

EXPORT = ("export", "--frozen", "--no-dev", "--no-hashes", "--no-header", "--no-annotate")
FORMAT = "--format=requirements-txt"
OF_CONDA = re.compile(rb"^(?:@EXPLICIT|[\w.-]+=[\w.!]+(?:=\w+)?) *\r?$", re.MULTILINE)
"""Lines of ``conda list --explicit`` and ``--export``."""
PIP_FILES = (".txt", ".in", ".toml")
"""Ends of the names of files that pip's users have: these environments have no packages of conda's."""

OTHERS = {
    "pixi.toml": "pixi lock writes pixi.lock, which --env takes",
    "poetry.lock": "poetry export --output requirements.txt writes what --env takes",
    "pdm.lock": "pdm export --output requirements.txt writes what --env takes",
    "Pipfile": "pipenv requirements > requirements.txt writes what --env takes",
    "Pipfile.lock": "pipenv requirements > requirements.txt writes what --env takes",
    "pylock.toml": "--env takes the file that it was made from",
    "setup.py": "an environment.yml can have the project under pip:, as -e .",
    "setup.cfg": "an environment.yml can have the project under pip:, as -e .",
}
"""Files of tools that dask-bake does not read, and the way out."""


def is_for_pip(path: Path) -> bool:
    """Return whether pip, not conda, installs the environment in the file."""
    return path.suffix in PIP_FILES or path.name == "uv.lock"


def as_environment(path: Path, text: bytes, architecture: Architecture) -> bytes:
    """Return a file's environment as an environment.yml: the file's own text, or one with the same packages.

    Raises:
        UsageError: if the file is not what its name says, or locks nothing for the architecture.
    """
    if path.name in OTHERS:
        raise UsageError(f"{path.name} is no environment that dask-bake reads", hint=OTHERS[path.name])
    if path.suffix in (".txt", ".in"):
        if found := OF_CONDA.search(text):
            raise UsageError(
                f"{path.name} is a list of conda's, as {found[0].decode().strip()!r} shows",
                hint="conda env export > environment.yml writes what dask-bake reads",
            )
        return _written(path, (), {"pip": [f"-r {path.name}"]})
    if path.name == "uv.lock":
        return _project(path.with_name("pyproject.toml"))
    if path.suffix == ".toml":
        return _project(path)
    try:
        content = parse_yaml(text)
    except (yaml.YAMLError, UnicodeDecodeError):
        return text
    if isinstance(content, dict) and is_pixi_lock(content):
        return _pinned(path, read_pixi_lock(path, architecture))
    if isinstance(content, dict) and is_conda_lock(content):
        return _pinned(path, read_conda_lock(content, path, architecture))
    return text


def _project(path: Path) -> bytes:
    """Return the environment of a project: of its uv.lock, else of what it requires, and the project."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise UsageError(f"{path} cannot be read: {why}", hint="--env names a pyproject.toml") from error
    tools = content.get("tool", {})
    # poetry's projects of before PEP 621; its build backend knows what they require.
    project = content.get("project", tools.get("poetry") if "build-system" in content else None)
    if not isinstance(project, dict):
        hint = OTHERS["poetry.lock"] if "poetry" in tools else "write the packages into an environment.yml"
        raise UsageError(f"{path.name} has no [project]", hint=hint)
    if "pixi" in tools and not project.get("dependencies"):
        raise UsageError(f"{path.name} has its packages below [tool.pixi]", hint=OTHERS["pixi.toml"])
    requires = str(project.get("requires-python", ""))
    python = (f"python {requires}",) if requires else ()
    lines = _exported(path.parent) if path.with_name("uv.lock").is_file() else ["-e ."]
    return _written(path, python, {"pip": lines}, name=str(project.get("name", "")))


def _exported(folder: Path) -> list[str]:
    """Return what uv.lock pins, as lines of a requirements file."""
    uv = find_uv()
    if uv is None:
        raise UsageError("uv.lock is read by uv, which this machine does not have", hint="pip install uv")
    with tempfile.TemporaryDirectory() as name:
        output = Path(name, "requirements.txt")
        command = [
            uv,
            *EXPORT,
            FORMAT,
            "--no-python-downloads",
            "--color=never",
            f"--python={sys.executable}",
        ]
        code, lines = run_lines(command, os.environ, lambda _: None, within=folder, output=output)
        if code:
            said = [line for line in reversed(lines) if line.startswith("error:")] or ["uv export failed"]
            why = said[0].removeprefix("error:").strip()
            raise UsageError(f"{folder / 'uv.lock'} cannot be read: {why}", hint="uv lock writes it again")
        return [line for line in output.read_text(encoding="utf-8").splitlines() if line.strip()]


def _pinned(path: Path, pinned: Pinned) -> bytes:
    pip = {"pip": list(pinned.requirements)} if pinned.requirements else {}
    return _written(path, pinned.specs, pip, channels=pinned.channels)


def _written(
    path: Path,
    specs: Iterable[str],
    pip: Mapping[str, list[str]],
    *,
    name: str = "",
    channels: Iterable[str] = (),
) -> bytes:
    document: dict[str, Any] = {
        "name": name or path.absolute().parent.name or DEFAULT_ENVIRONMENT,
        "channels": list(channels),
        "dependencies": [*specs, *([dict(pip)] if pip else [])],
    }
    return f"# Made from {path.name}.\n{yaml.safe_dump(document, sort_keys=False, width=1000)}".encode()
