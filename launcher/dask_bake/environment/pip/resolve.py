"""Resolving of requirements: by uv, or by pip."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dask_bake.environment.pip.build import Workshop
from dask_bake.environment.pip.host_pip import Run, find_uv, resolve_with_pip
from dask_bake.environment.pip.requirement_files import (
    digests,
    included_files,
    index_options,
    with_absolute_paths,
)
from dask_bake.environment.pip.target import Target
from dask_bake.environment.pip.uv import Found, resolve_with_uv
from dask_bake.environment.pip_lock import Package
from dask_bake.errors import UsageError
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
    workshop = Workshop(cache, folder, tuple(index_options(requirements, folder)), pip)
    with explain_disk_errors(cache, needed=DISK_SPACE_NEEDED):
        found = _found(requirements, constraints, target, folder, cache, notify, environ, pip)
        packages = tuple(_package(each, workshop, target, notify) for each in found)
    sources = {each.name: each.source for each in found if each.source}
    folders = [source for source in sources.values() if source.startswith((".", "/"))]
    ordered = tuple(sorted(packages, key=lambda package: package.name))
    return Resolution(ordered, sources, digests([*files, *folders], folder))


def _found(
    requirements: Sequence[str],
    constraints: Sequence[str],
    target: Target,
    folder: Path,
    cache: Path,
    notify: Notify,
    environ: Mapping[str, str],
    pip: Run | None,
) -> Sequence[Found]:
    cache.mkdir(parents=True, exist_ok=True)
    limits = cache / f"constraints-{os.getpid()}.txt"
    limits.write_text("".join(f"{constraint}\n" for constraint in constraints))
    lines = [*with_absolute_paths(requirements, folder), f"-c {limits}"]
    try:
        if pip is None and _resolver(environ) == "uv":
            return resolve_with_uv(lines, target, folder, notify)
        packages = resolve_with_pip("".join(f"{line}\n" for line in lines), target, folder, notify, pip=pip)
        return [Found(package.name, package.version, package.sha256) for package in packages]
    finally:
        limits.unlink()


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
