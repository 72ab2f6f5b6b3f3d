"""A conda channel on disk, built from the running Python and from locked wheels."""

import asyncio
import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename
from rattler import Gateway, RepoDataRecord, VirtualPackage, install, solve
from rattler.index import index_fs

import conda_packages
from conda_packages import LINUX, distribution_of, make_from_wheel, make_python, pip_wheel, requirements_of
from conda_server import serve as serve

LOCK = Path(__file__).parents[2] / "packer" / f"py{sys.version_info.major}{sys.version_info.minor}.pip.lock"


def index_channel(folder: Path) -> None:
    """Write ``repodata.json`` for noarch and linux-64 with rattler."""
    for subdir in ("noarch", LINUX):
        (folder / subdir).mkdir(parents=True, exist_ok=True)
    asyncio.run(index_fs(folder, force=True))


def build_channel(
    folder: Path, wheels: Sequence[Path], extras: Mapping[str, Iterable[str]] | None = None
) -> Path:
    """Build a channel of ``python`` and the wheels, in a subfolder named by a hash of all inputs."""
    extras = {name: sorted(given) for name, given in (extras or {}).items()}
    key = hashlib.sha256(json.dumps([sys.version, sys.base_prefix, extras], sort_keys=True).encode())
    for path in (Path(conda_packages.__file__), *sorted(wheels)):
        key.update(path.read_bytes())
    channel = folder / key.hexdigest()[:16]
    if not channel.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as unfinished:
            building = Path(unfinished, "channel")
            make_python(building)
            for wheel in wheels:
                make_from_wheel(building, wheel, extras.get(_name(wheel), ()))
            index_channel(building)
            building.rename(channel)
    return channel


def small_channel(cache: Path, *names: str) -> Path:
    """Build a channel of ``python``, ``pip``, ``dask``, ``distributed`` and the named packages of the lock.

    A name may have extras, such as ``dask[dataframe]``. pip downloads the wheels into the cache.
    """
    wheels, extras = fetch_wheels(cache / "wheels", "dask[distributed]", *names)
    return build_channel(cache, [pip_wheel(), *wheels], extras)


def fetch_wheels(
    folder: Path, *names: str, lock: Path = LOCK
) -> tuple[tuple[Path, ...], dict[str, set[str]]]:
    """Return the locked wheels of these packages and their dependencies, and the extras required of each."""
    locked = {line.split("==")[0]: line for line in lock.read_text().splitlines() if "==" in line}
    extras: dict[str, set[str]] = {}
    found: dict[str, Path] = {}
    waiting = [Requirement(name) for name in names]
    while waiting:
        for each in waiting:
            name = canonicalize_name(each.name)
            extras[name] = extras.get(name, {""}) | each.extras
        missing = [locked[name] for name in extras if name not in found]
        found |= _download(folder, missing)
        waiting = [
            each
            for name, wheel in found.items()
            for each in requirements_of(distribution_of(wheel), extras[name])
            if not {*each.extras, ""} <= extras.get(canonicalize_name(each.name), set())
        ]
    return tuple(found[name] for name in sorted(found)), extras


def _name(wheel: Path) -> str:
    return parse_wheel_filename(wheel.name)[0]


def _download(folder: Path, locked: Sequence[str]) -> dict[str, Path]:
    """Return the wheels of these lines of the lock; download with pip those that the folder lacks."""
    folder.mkdir(parents=True, exist_ok=True)
    hashes = {line.split("sha256:")[1] for line in locked}
    missing = hashes - {path.name for path in folder.iterdir()}
    if missing:
        with tempfile.TemporaryDirectory(dir=folder.parent) as brought:
            Path(brought, "requirements.txt").write_text("\n".join(locked))
            arguments = ["--only-binary=:all:", "--no-deps", "--require-hashes", "--quiet", "--no-input"]
            requirements = [f"--requirement={brought}/requirements.txt", f"--dest={brought}"]
            command = [sys.executable, "-m", "pip", "download", *arguments, *requirements]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            for wheel in Path(brought).glob("*.whl"):
                home = folder / hashlib.sha256(wheel.read_bytes()).hexdigest()
                home.mkdir(exist_ok=True)
                wheel.replace(home / wheel.name)
    return {_name(wheel): wheel for each in hashes for wheel in (folder / each).glob("*.whl")}


def solved(url: str, specs: Sequence[str], cache: Path) -> list[RepoDataRecord]:
    """Return rattler's solution of the specs in that channel, for this machine."""
    gateway = Gateway(cache_dir=cache / "repodata")
    detected = VirtualPackage.detect()
    wanted = solve([url], specs, gateway=gateway, platforms=["linux-64", "noarch"], virtual_packages=detected)
    return asyncio.run(wanted)


def installed(records: list[RepoDataRecord], home: Path) -> Path:
    """Install the packages and return the prefix."""
    asyncio.run(install(records, home / "prefix", cache_dir=home / "packages", show_progress=False))
    return home / "prefix"
