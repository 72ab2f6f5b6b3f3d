"""What differs between two images, by their manifests: the answer to "why was this baked anew?"."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from dask_bake.environment.pip_lock import Package
from dask_bake.images.manifest import File, Manifest


class Change(StrEnum):
    """What became of something, from one manifest to the next."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True)
class Difference:
    """One thing that differs; ``before`` or ``after`` is empty where it is not there."""

    name: str
    change: Change
    before: str = ""
    after: str = ""


@dataclass(frozen=True)
class Differences:
    """All that differs, sorted by name; false when nothing does."""

    inputs: tuple[Difference, ...] = ()
    files: tuple[Difference, ...] = ()
    packages: tuple[Difference, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.inputs or self.files or self.packages)


def differences(before: Manifest, after: Manifest) -> Differences:
    """What differs, from the one to the other."""
    return Differences(
        inputs=_compared(_inputs(before), _inputs(after)),
        files=_compared(*_files(before.files, after.files)),
        packages=_packages(before.packages, after.packages),
    )


def _compared(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[Difference, ...]:
    found = []
    for name in sorted(before.keys() | after.keys()):
        if name not in before:
            found.append(Difference(name, Change.ADDED, after=after[name]))
        elif name not in after:
            found.append(Difference(name, Change.REMOVED, before=before[name]))
        elif before[name] != after[name]:
            found.append(Difference(name, Change.CHANGED, before[name], after[name]))
    return tuple(found)


def _inputs(manifest: Manifest) -> dict[str, str]:
    return {"python": manifest.python, **dict(manifest.inputs)}


def _files(before: tuple[File, ...], after: tuple[File, ...]) -> tuple[dict[str, str], dict[str, str]]:
    return {each.path: _file(each) for each in before}, {each.path: _file(each) for each in after}


def _file(file: File) -> str:
    return f"{file.sha256[:12]}{' executable' if file.executable else ''}"


def _packages(before: tuple[Package, ...], after: tuple[Package, ...]) -> tuple[Difference, ...]:
    """By name and kind: a wheel and a conda package of one name are two packages."""
    old, new = ({(each.name, each.kind): each for each in packages} for packages in (before, after))
    found = []
    for key in sorted(old.keys() | new.keys()):
        if key not in old:
            found.append(Difference(key[0], Change.ADDED, after=_whole(new[key])))
        elif key not in new:
            found.append(Difference(key[0], Change.REMOVED, before=_whole(old[key])))
        elif said := _distinguished(old[key], new[key]):
            found.append(Difference(key[0], Change.CHANGED, *said))
    return tuple(found)


def _whole(package: Package) -> str:
    return " ".join(part for part in (package.version, package.build) if part)


def _distinguished(before: Package, after: Package) -> tuple[str, str] | None:
    """The first thing in which they differ, so that what is shown differs; ``None`` where nothing does."""
    if before.version != after.version:
        return before.version, after.version
    if before.build != after.build:
        return _whole(before), _whole(after)
    places = [f"{each.version} of {each.channel} {each.subdir}".rstrip() for each in (before, after)]
    if places[0] != places[1]:
        return places[0], places[1]
    if before.sha256 and after.sha256 and before.sha256 != after.sha256:
        return f"{before.version} {before.sha256[:12]}", f"{after.version} {after.sha256[:12]}"
    return None
