"""Download of locked wheels: verified, and cached by their hashes."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from dask_bake.environment.pip.build import Workshop
from dask_bake.environment.pip.host_pip import Run, options, run_pip
from dask_bake.environment.pip.resolve import DISK_SPACE_NEEDED
from dask_bake.environment.pip.target import Target
from dask_bake.environment.pip_lock import Package, requirement
from dask_bake.errors import BakeError
from dask_bake.events import Notify
from dask_bake.system.disk import explain_disk_errors
from dask_bake.system.files import sha256_of


def fetch(
    packages: Sequence[Package],
    target: Target,
    cache: Path,
    notify: Notify,
    *,
    sources: Mapping[str, str] | None = None,
    folder: Path | None = None,
    lines: Sequence[str] = (),
    pip: Run | None = None,
) -> tuple[Path, ...]:
    """Return the locked wheels, verified, in their order; download or build those that are not cached.

    Args:
        sources: what the wheels of some packages are made of, relative to the folder.
        lines: the environment's requirements, for their options and credentials.
    """
    with explain_disk_errors(cache, needed=DISK_SPACE_NEEDED):
        cache.mkdir(parents=True, exist_ok=True)
        missing = [package for package in packages if _cached(cache, package) is None]
        workshop = Workshop(cache, folder or cache, tuple(lines), pip)
        for package in missing:
            if source := (sources or {}).get(package.name):
                _make_again(package, source, workshop, target, notify)
        wanted = [package for package in missing if package.name not in (sources or {})]
        if wanted:
            _download(wanted, target, cache, workshop.index, notify, pip or run_pip)
    return tuple(_present(cache, package) for package in packages)


def _make_again(package: Package, source: str, workshop: Workshop, target: Target, notify: Notify) -> None:
    made = workshop.make(package.name, source, target, notify)
    if made.sha256 != package.sha256:
        raise BakeError(
            f"the wheel of {package.name} that was made of {source} is not the one that is locked",
            hint="dask-bake lock locks this one",
        )


def _download(
    packages: list[Package], target: Target, cache: Path, index: Sequence[str], notify: Notify, pip: Run
) -> None:
    with tempfile.TemporaryDirectory(dir=cache, prefix="download-") as folder:
        requirements = Path(folder, "requirements.txt")
        lines = [*index, *map(requirement, packages)]
        requirements.write_text("".join(f"{line}\n" for line in lines))
        arguments = [
            "download",
            "--no-deps",
            "--require-hashes",
            f"--requirement={requirements}",
            f"--dest={folder}",
        ]
        pip([*arguments, *options(target)], Path(folder), notify)
        for wheel in Path(folder).glob("*.whl"):
            home = cache / sha256_of(wheel)
            home.mkdir(exist_ok=True)
            wheel.replace(home / wheel.name)


def _cached(cache: Path, package: Package) -> Path | None:
    """Return the wheel from the cache, or ``None``; remove a damaged one."""
    for wheel in (cache / package.sha256).glob("*.whl"):
        if sha256_of(wheel) == package.sha256:
            return wheel
        wheel.unlink()
    return None


def _present(cache: Path, package: Package) -> Path:
    wheel = next((cache / package.sha256).glob("*.whl"), None)
    if wheel is None:
        raise BakeError(
            f"pip did not download {package.name} {package.version} with the locked hash",
            hint="its index has changed, or the lock: dask-bake lock makes a new one",
        )
    return wheel
