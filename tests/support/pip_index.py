"""Wheels, sources and Pythons for tests, and a folder of them as an index of pip's."""

import hashlib
import json
import re
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

BACKEND = '''\
"""A build backend without dependencies: a wheel of one module."""
import tomllib, zipfile

def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    project = tomllib.load(open("pyproject.toml", "rb"))["project"]
    name, version = project["name"], project["version"]
    info = f"{name}-{version}.dist-info"
    file = f"{name}-{version}-py3-none-any.whl"
    needs = [f"Requires-Dist: {each}" for each in project.get("dependencies", ())]
    with zipfile.ZipFile(f"{wheel_directory}/{file}", "w") as wheel:
        for path, lines in (
            (f"{name}.py", open(f"{name}.py").read().splitlines()),
            (f"{info}/METADATA", ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *needs]),
            (f"{info}/WHEEL", ["Wheel-Version: 1.0", "Root-Is-Purelib: true", "Tag: py3-none-any"]),
            (f"{info}/RECORD", []),
        ):
            wheel.writestr(zipfile.ZipInfo(path), "".join(line + chr(10) for line in lines))
    return file
'''


def make_wheel(
    folder: Path,
    name: str,
    version: str,
    needs: Sequence[str] = (),
    extras: Sequence[str] = (),
    tag: str = "py3-none-any",
) -> Path:
    """A wheel with metadata alone."""
    info = f"{name}-{version}.dist-info"
    provided = "".join(f"Provides-Extra: {each}\n" for each in extras)
    required = "".join(f"Requires-Dist: {each}\n" for each in needs)
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{provided}{required}"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{info}/METADATA", metadata)
        wheel.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n")
        wheel.writestr(f"{info}/RECORD", "")
    return path


def make_project(folder: Path, name: str, version: str = "1.0", needs: Sequence[str] = ()) -> Path:
    """A project that builds offline."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "backend.py").write_text(BACKEND)
    (folder / f"{name}.py").write_text("x = 1\n")
    (folder / "pyproject.toml").write_text(
        f'[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        f'[project]\nname = "{name}"\nversion = "{version}"\ndependencies = {list(needs)!r}\n'
    )
    return folder


def make_sdist(folder: Path, name: str, version: str) -> Path:
    """A source archive that builds offline."""
    project = make_project(folder / f".{name}", name, version)
    path = folder / f"{name}-{version}.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for file in sorted(project.iterdir()):
            archive.add(file, f"{name}-{version}/{file.name}")
        data = f"Metadata-Version: 2.2\nName: {name}\nVersion: {version}\n".encode()
        member = tarfile.TarInfo(f"{name}-{version}/PKG-INFO")
        member.size = len(data)
        archive.addfile(member, BytesIO(data))
    return path


def write_index(folder: Path, *, algorithm: str = "sha256") -> Path:
    """``simple/`` of the archives in a folder (PEP 503), with these hashes, or none; return the folder."""
    names: dict[str, list[Path]] = {}
    for path in sorted([*folder.glob("*.whl"), *folder.glob("*.tar.gz")]):
        names.setdefault(path.name.split("-")[0].replace("_", "-").lower(), []).append(path)
    for name, paths in names.items():
        home = folder / "simple" / name
        home.mkdir(parents=True, exist_ok=True)
        links = [f'<a href="/{path.name}{_fragment(path, algorithm)}">{path.name}</a>' for path in paths]
        (home / "index.html").write_text("<!DOCTYPE html><html><body>" + "\n".join(links) + "</body></html>")
    return folder


def _fragment(path: Path, algorithm: str) -> str:
    return f"#{algorithm}={hashlib.new(algorithm, path.read_bytes()).hexdigest()}" if algorithm else ""


def make_pythons(folder: Path, *versions: str, machine: str = "x86_64") -> Path:
    """Archives as uv downloads them, of a Python that is a shell script; return uv's list of them.

    ``UV_PYTHON_DOWNLOADS_JSON_URL`` takes the list.
    """
    folder.mkdir(exist_ok=True)
    listed = {}
    for version in versions:
        number = re.match(r"(\d+)\.(\d+)\.(\d+)(.*)", version)
        assert number is not None
        minor = f"{number[1]}.{number[2]}"
        archive = folder / f"cpython-{version}-{machine}-install_only.tar.gz"
        with tarfile.open(archive, "w:gz") as tar:
            for path, text in (
                (f"python/bin/python{minor}", f'#!/bin/sh\n: >"$0.used"\nexec "{sys.executable}" "$@"\n'),
                # uv changes paths in it.
                (
                    f"python/lib/python{minor}/_sysconfigdata__linux_{machine}-linux-gnu.py",
                    "# system configuration generated and used by the sysconfig module\n"
                    f"build_time_vars = {{'VERSION': '{version}'}}\n",
                ),
            ):
                member = tarfile.TarInfo(path)
                member.size, member.mode = len(text), 0o775
                tar.addfile(member, BytesIO(text.encode()))
        listed[f"cpython-{version}-linux-{machine}-gnu"] = {
            "name": "cpython",
            "arch": {"family": machine, "variant": None},
            "os": "linux",
            "libc": "gnu",
            "major": int(number[1]),
            "minor": int(number[2]),
            "patch": int(number[3]),
            "prerelease": number[4],
            "url": archive.as_uri(),
            "sha256": hashlib.sha256(archive.read_bytes()).hexdigest(),
            "variant": None,
            "build": "20260101",
        }
    listing = folder / "downloads.json"
    listing.write_text(json.dumps(listed))
    return listing
