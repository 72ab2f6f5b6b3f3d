"""Check an image's manifest, locked packages, bytecode, and dask-bake's own modules.

Run by 80-check.sh with the payload's folder and /etc/dask-bake, by the Python of the image's environment. The
first problem ends the build.
"""

import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import struct
import sys
import sysconfig
import urllib.parse
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

CONDA_PLATFORMS = {"x86_64": "linux-64", "aarch64": "linux-aarch64"}
MAGIC = importlib.util.MAGIC_NUMBER
# The flags of a .pyc file (PEP 552).
UNCHECKED_HASH, TIMESTAMP = MAGIC + struct.pack("<L", 1), MAGIC + struct.pack("<L", 0)


def fail(problem: str) -> NoReturn:
    """End the build with this problem."""
    sys.exit(f"check: {problem}")


def text_of(path: Path) -> str:
    """Return the file's text, or nothing if there is no such file."""
    return path.read_text() if path.exists() else ""


def check_settings(settings: Path) -> None:
    """Check that the image has a manifest and a login user, and no role."""
    for path in settings.glob("*.env"):
        fail(f"{path} would give every node this role")
    try:
        digest = json.loads((settings / "manifest.json").read_text())["digest"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        fail(f"{settings}/manifest.json is not a manifest: {type(error).__name__} {error}")
    if not re.fullmatch("[0-9a-f]{64}", str(digest)):
        fail(f"{settings}/manifest.json has no valid digest: {digest!r}")
    if not text_of(settings / "user").strip():
        fail(f"{settings}/user does not name the login user")


def check_wheels(lock: str) -> None:
    """Check that every wheel of pip.lock is installed in its version."""
    for name, version in re.findall(r"^([\w.-]+)(?:\[[^]]*\])?==([^\s;\\]+)", lock, re.MULTILINE):
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            fail(f"{name} {version} of pip.lock is not installed")
        if found != version:
            fail(f"{name} is {found}, pip.lock says {version}")


def check_client(folder: Path) -> None:
    """Check that the environment's Python imports dask-bake's Python API."""
    if not (folder / "dask_bake" / "__init__.py").is_file():
        fail(f"{folder} has no dask_bake")
    try:
        from dask_bake import BakeCluster, connect  # noqa: F401
    except ImportError as error:
        fail(f"dask_bake cannot be imported: {error}")


def installed_by_conda() -> set[str]:
    """Return the installed conda packages as name-version-build."""
    return {path.stem for path in Path(sys.prefix, "conda-meta").glob("*.json")}


def check_conda_packages(lock: str, installed: set[str]) -> None:
    """Check that every package that conda.lock has for this platform is installed in its build."""
    machine = CONDA_PLATFORMS.get(platform.machine(), "")
    section = re.search(rf"^ +{machine}:\n((?: +- .*\n)+)", lock, re.MULTILINE)
    urls = set(re.findall(r"- conda: (\S+)", section[1] if section else lock))
    files = {urllib.parse.unquote(url.split("#")[0].rpartition("/")[2]) for url in urls}
    locked = {re.sub(r"\.(conda|tar\.bz2)$", "", name) for name in files}
    if lock and not locked:
        fail("conda.lock names no package")
    for package in sorted(locked - installed):
        others = [other for other in installed if other.rsplit("-", 2)[0] == package.rsplit("-", 2)[0]]
        fail(f"{package} of conda.lock is not installed{', but ' + others[0] if others else ''}")


def can_be_compiled(source: str) -> bool:
    """Return whether Python can compile the file; templates and code of other versions cannot be."""
    try:
        compile(Path(source).read_bytes(), source, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError):
        return False
    return True


def is_current(header: bytes, source: str, *, has_conda: bool) -> bool:
    """Return whether Python uses bytecode with this header without ever writing it again.

    Packages of conda come with bytecode that has its source's time in it, which never changes.
    """
    if header[:8] == UNCHECKED_HASH or not has_conda:
        return header[:8] == UNCHECKED_HASH
    stat = os.stat(source)
    expected = struct.pack("<LL", int(stat.st_mtime) & 0xFFFFFFFF, stat.st_size & 0xFFFFFFFF)
    return header == TIMESTAMP + expected


def sources(own: Path) -> Iterator[tuple[str, str]]:
    """Yield each source that compile_sources.py compiles, and dask-bake's own, with the bytecode's path."""
    tag = sys.implementation.cache_tag
    for site in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib"), str(own)}:
        for folder, folders, names in os.walk(site):
            folders[:] = [name for name in folders if name != "tests"]
            for name in names:
                if name.endswith(".py"):
                    yield f"{folder}/{name}", f"{folder}/__pycache__/{name[:-3]}.{tag}.pyc"


def check_bytecode(own: Path, *, has_conda: bool) -> None:
    """Check that every source is compiled."""
    warnings.simplefilter("ignore")
    for source, compiled in sources(own):
        try:
            with open(compiled, "rb") as file:
                header = file.read(16)
        except FileNotFoundError:
            header = b""
        if not is_current(header, source, has_conda=has_conda) and can_be_compiled(source):
            fail(
                f"{source} is "
                + ("compiled, but may be compiled again on a node" if header else "not compiled")
            )


def main(payload: Path, settings: Path) -> None:
    """Check everything."""
    check_settings(settings)
    pip_lock, conda_lock = text_of(payload / "pip.lock"), text_of(payload / "conda.lock")
    if not pip_lock and not conda_lock:
        fail(f"{payload} has neither pip.lock nor conda.lock")
    check_wheels(pip_lock)
    installed = installed_by_conda()
    check_conda_packages(conda_lock, installed)
    own = settings.parents[1] / "usr/lib/dask-bake/python"
    check_client(own)
    check_bytecode(own, has_conda=bool(installed))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
