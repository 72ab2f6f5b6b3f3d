"""Resolving of requirements: by uv, or by pip."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dask_bake.environment.pip.build import Workshop
from dask_bake.environment.pip.host_pip import Run, find_uv, resolve_with_pip
from dask_bake.environment.pip.requirement_files import (
    digests,
    for_resolvers,
    included_files,
    pinned_hashes,
)
from dask_bake.environment.pip.target import Target
from dask_bake.environment.pip.uv import Found, resolve_with_uv
from dask_bake.environment.pip_lock import Package
from dask_bake.errors import BakeError, UsageError
from dask_bake.events import Notify
from dask_bake.system.disk import explain_disk_errors

RESOLVER = "DASK_BAKE_RESOLVER"
# For the default environment; the wheels are stored twice, in the cache and packed.
DISK_SPACE_NEEDED = 600 << 20


@dataclass(frozen=True)
class Resolution:
    """The packages that requirements give, ordered by name.

    Args:
        sources: what the wheels of some packages are made of, by the packages' names.
        inputs: hashes of the files and folders that the requirements name.
    """

    packages: tuple[Package, ...]
    sources: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)


def resolve(
    requirements: Sequence[str],
    target: Target,
    *,
    folder: Path,
    cache: Path,
    notify: Notify,
    constraints: Sequence[str] = (),
    environ: Mapping[str, str] = os.environ,
    pip: Run | None = None,
) -> Resolution:
    """Resolve lines of a requirements file, relative to a folder, under the constraints.

    Raises:
        UsageError: if a file that they name cannot be read.
        BakeError: if nothing satisfies them, with the resolver's explanation, or if a wheel cannot be built.
    """
    files = [os.path.relpath(path, folder) for path in included_files(requirements, folder)]
    lines = for_resolvers(requirements, folder)
    workshop = Workshop(cache, folder, tuple(lines), pip)
    with explain_disk_errors(cache, needed=DISK_SPACE_NEEDED):
        cache.mkdir(parents=True, exist_ok=True)
        limits = cache / f"constraints-{os.getpid()}.txt"
        limits.write_text("".join(f"{constraint}\n" for constraint in constraints))
        try:
            found = _found(lines, limits, target, folder, notify, environ, pip)
        finally:
            limits.unlink()
        packages = tuple(_package(each, workshop, target, notify) for each in found)
    _check_hashes(packages, pinned_hashes(requirements, folder))
    sources = {each.name: each.source for each in found if each.source}
    folders = [source for source in sources.values() if source.startswith((".", "/"))]
    ordered = tuple(sorted(packages, key=lambda package: package.name))
    return Resolution(ordered, sources, digests([*files, *folders], folder))


def _found(
    lines: Sequence[str],
    limits: Path,
    target: Target,
    folder: Path,
    notify: Notify,
    environ: Mapping[str, str],
    pip: Run | None,
) -> Sequence[Found]:
    if pip is None and _resolver(environ) == "uv":
        return resolve_with_uv(lines, target, folder, notify, limits)
    text = "".join(f"{line}\n" for line in lines)
    packages = resolve_with_pip(text, target, folder, notify, limits, pip=pip)
    return [Found(package.name, package.version, package.sha256) for package in packages]


def _check_hashes(packages: Sequence[Package], hashes: Mapping[str, set[str]]) -> None:
    """Raise if a package is not one of those whose hashes the requirements give; uv does not look at them."""
    for package in packages:
        if package.sha256 not in hashes.get(package.name, {package.sha256}):
            raise BakeError(
                f"the wheel of {package.name} {package.version} has another SHA-256 than the requirements:"
                f" {package.sha256}",
                hint="find out why it has changed, or give its hash",
            )


def _package(found: Found, workshop: Workshop, target: Target, notify: Notify) -> Package:
    if found.source and not found.sha256:
        return workshop.make(found.name, found.source, target, notify)
    package = Package(found.name, found.version, found.sha256)
    return package if package.sha256 else workshop.hash_of(package, target, notify)


def _resolver(environ: Mapping[str, str]) -> str:
    chosen = environ.get(RESOLVER, "")
    if chosen not in ("", "uv", "pip"):
        raise UsageError(f"{RESOLVER} is {chosen!r}", hint="it can be uv or pip")
    return chosen or ("uv" if find_uv() else "pip")
