"""The recipe of an image: every input, staged in an empty folder, hashed, and built from there."""

import fnmatch
import hashlib
import json
import shutil
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dask_bake.environment.pip_lock import Lock
from dask_bake.errors import BakeError
from dask_bake.images.manifest import File, Manifest
from dask_bake.system.files import add_file, is_executable, sha256_of

TEMPLATES = ("dask.pkr.hcl", "variables.pkr.hcl", "newer.hcl")
FOLDERS = ("scripts", "rootfs")
CLIENT = (
    "__init__.py",
    "api.py",
    "errors.py",
    *(f"client/{name}.py" for name in ("__init__", "attached", "node")),
)
"""dask-bake's own modules that are in an image: the Python API as it is on a node."""
CLIENT_FOLDER = "rootfs/usr/lib/dask-bake/python/dask_bake"
"""Their folder; ``40-compile.sh`` puts the one above it on the path of the environment's Python."""
# What editors and interpreters leave behind is in no image, tracked by git or not.
LITTER = ("*~", ".#*", "#*#", ".*.swp", ".DS_Store", "__pycache__", "*.pyc")


@dataclass(frozen=True)
class Recipe:
    """Everything that decides an image, and nothing else.

    ``inputs`` are the template's variables that are in the image, such as the size of its volume.
    """

    base_image: str
    architecture: str
    installer: str
    inputs: tuple[tuple[str, str], ...]
    files: tuple[File, ...]

    @property
    def digest(self) -> str:
        """The SHA-256 of the recipe: equal recipes make equal images."""
        return hashlib.sha256(_canonical(self._content()).encode()).hexdigest()

    def manifest(self, lock: Lock) -> Manifest:
        """Return the manifest that is stored in the image."""
        own = (
            ("architecture", self.architecture),
            ("base_image", self.base_image),
            ("installer", self.installer),
        )
        brought = (("interpreter", str(lock.interpreter)),) if lock.interpreter else ()
        inputs = tuple(sorted((*own, *brought, *self.inputs)))
        return Manifest(self.digest, lock.python, inputs, self.files, lock.packages)

    def _content(self) -> dict[str, object]:
        return {
            "base_image": self.base_image,
            "architecture": self.architecture,
            "installer": self.installer,
            "inputs": dict(self.inputs),
            "files": {
                file.path: {"sha256": file.sha256, "executable": file.executable} for file in self.files
            },
        }


def stage(source: Path, folder: Path, contents: Mapping[str, bytes]) -> tuple[File, ...]:
    """Copy the template, its scripts, the root file system and the given contents; return what is there."""
    folder.mkdir(parents=True)
    for path in sorted([*(source / name for name in TEMPLATES), *_listed(source)]):
        _copy(path, folder / path.relative_to(source))
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return tuple(
        File(path.relative_to(folder).as_posix(), sha256_of(path), is_executable(path))
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    )


def client_files(package: Path) -> dict[str, bytes]:
    """Return the modules of dask-bake for an image, by their paths in the stage."""
    return {f"{CLIENT_FOLDER}/{name}": (package / name).read_bytes() for name in CLIENT}


def pack_rootfs(folder: Path) -> Path:
    """Pack the root file system into payload/rootfs.tar: files of root alone, so no folder changes."""
    payload = folder / "payload"
    payload.mkdir(exist_ok=True)
    root = folder / "rootfs"
    with tarfile.open(payload / "rootfs.tar", "w", format=tarfile.GNU_FORMAT) as archive:
        for path in sorted(path for path in root.rglob("*") if path.is_file()):
            add_file(archive, path, path.relative_to(root).as_posix())
    return payload


def _listed(source: Path) -> list[Path]:
    return [
        path
        for folder in FOLDERS
        for path in (source / folder).rglob("*")
        if (path.is_symlink() or path.is_file()) and not _is_litter(path.relative_to(source))
    ]


def _is_litter(path: Path) -> bool:
    return any(fnmatch.fnmatch(part, pattern) for part in path.parts for pattern in LITTER)


def _copy(path: Path, destination: Path) -> None:
    if path.is_symlink():
        raise BakeError(f"{path} is a symbolic link, which a wheel cannot carry", hint="let a script make it")
    if not path.is_file():
        raise BakeError(
            f"{path} is missing: the packer folder is not complete", hint="install dask-bake again"
        )
    destination.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, destination)
    destination.chmod(0o755 if is_executable(path) else 0o644)


def _canonical(value: Mapping[str, object]) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
