"""Solving of conda specs, and conda.lock in pixi's format."""

import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import rattler
from rattler import exceptions

from dask_bake.environment.conda.channels import Channels, channel_of, first_line, run
from dask_bake.environment.conda.condarc import CondaSettings
from dask_bake.environment.conda.match_spec import match_spec
from dask_bake.environment.current import is_of_python
from dask_bake.environment.names import normalized_name, pip_name, without_secrets
from dask_bake.environment.pip_lock import Package
from dask_bake.errors import BakeError, UsageError
from dask_bake.models.cloud import Architecture
from dask_bake.models.debian import OLDEST
from dask_bake.system.disk import explain_disk_errors

VIRTUAL_PACKAGES = {
    "__unix": ("0", "0"),
    "__linux": (OLDEST.kernel, "0"),
    "__glibc": (".".join(map(str, OLDEST.glibc)), "0"),
}
"""The oldest base's kernel and C library, for locks that fit every base (conda, "Virtual packages")."""

ENVIRONMENT = "default"
DISK_SPACE_NEEDED = 200 << 20
LOCK_HINT = "dask-bake lock writes one"


@dataclass(frozen=True)
class Archive:
    """A locked package and the URL of its archive, without credentials."""

    package: Package
    url: str

    @property
    def file_name(self) -> str:
        """Return the archive's file name, unique in a channel's folder for one platform."""
        return urlsplit(self.url).path.rpartition("/")[2]


@dataclass(frozen=True)
class CondaLock:
    """The packages for one platform, ordered by name, and the text of the lock."""

    text: str
    channels: tuple[str, ...]
    archives: tuple[Archive, ...] = field(repr=False)
    records: tuple[rattler.RepoDataRecord, ...] = field(repr=False, compare=False)

    @property
    def python(self) -> str:
        """Return the version of Python; empty if there is none."""
        found = (each.package.version for each in self.archives if each.package.name == "python")
        return next(found, "")

    @property
    def projects(self) -> dict[str, str]:
        """Return the versions of the Python packages, by their names in pip's indexes."""
        found = [record for record in self.records if is_of_python(record.depends)]
        names = [record.name.normalized for record in found]
        return {
            normalized_name(pip_name(name)): str(record.version)
            for name, record in zip(names, found, strict=True)
        }


def solve(
    specs: Sequence[str],
    channels: Channels,
    architecture: Architecture,
    *,
    comment: str,
    environ: Mapping[str, str] = os.environ,
) -> CondaLock:
    """Solve the specs for the image's platform and return the lock.

    Raises:
        UsageError: if a spec or a channel is invalid.
        BakeError: if nothing satisfies the specs, with the solver's explanation, or if a channel does not
            respond.
    """
    wanted = [match_spec(spec) for spec in specs]
    with explain_disk_errors(channels.cache or Path.home(), needed=DISK_SPACE_NEEDED):
        records = run(
            lambda: rattler.solve(
                sources=[channel_of(place) for place in channels.places],
                specs=wanted,
                gateway=rattler.Gateway(cache_dir=channels.cache, client=channels.client()),
                platforms=[rattler.Subdir(architecture.subdir), rattler.Subdir("noarch")],
                virtual_packages=_virtual_packages(architecture, environ),
                channel_priority=_priority(channels.settings),
            ),
            channels,
        )
    return _locked(records, channels.addresses, architecture, comment)


def read_lock(text: str, architecture: Architecture, *, origin: str) -> CondaLock:
    """Parse a conda.lock and return the packages for that platform."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "conda.lock")
        path.write_text(text)
        try:
            environments = dict(rattler.LockFile.from_path(path).environments())
        except exceptions.ParseCondaLockError as error:
            raise UsageError(f"{origin} is not a lock: {first_line(error)}", hint=LOCK_HINT) from error
    environment = environments.get(ENVIRONMENT)
    platforms = environment.platforms() if environment else []
    platform = next((each for each in platforms if each.name == architecture.subdir), None)
    if environment is None or platform is None:
        raise UsageError(f"{origin} locks nothing for {architecture.subdir}", hint=LOCK_HINT)
    if environment.pypi_packages_for_platform(platform):
        raise UsageError(
            f"{origin} locks packages of pip's too",
            hint=f"{LOCK_HINT}, with pip's packages in a file beside it",
        )
    records = environment.conda_repodata_records_for_platform(platform) or []
    if any(without_secrets(record.url) != record.url for record in records):
        raise UsageError(
            f"{origin} holds a password or a token in its addresses, which would be in the image",
            hint="lock with dask-bake lock, which leaves them out; rattler's store or .netrc can hold them",
        )
    return _lock(text, map(str, environment.channels()), records)


def unsatisfied(specs: Sequence[str], lock: CondaLock) -> tuple[str, ...]:
    """Return the specs that no package of the lock satisfies."""
    wanted = {bare: match_spec(bare) for bare in map(without_secrets, specs)}
    return tuple(
        spec for spec, match in wanted.items() if not any(match.matches(record) for record in lock.records)
    )


def _virtual_packages(
    architecture: Architecture, environ: Mapping[str, str]
) -> list[rattler.GenericVirtualPackage]:
    """Return the image's virtual packages; ``CONDA_OVERRIDE_…`` changes them, as in conda."""
    packages = {**VIRTUAL_PACKAGES, "__archspec": ("1", architecture.machine)}
    for name in ("__linux", "__glibc", "__cuda"):
        override = environ.get(f"CONDA_OVERRIDE_{name.strip('_').upper()}")
        if override:
            packages[name] = (_version(override, name), "0")
        elif override == "":
            packages.pop(name, None)
    return [
        rattler.GenericVirtualPackage(
            rattler.PackageName(name), rattler.Version(version), rattler.BuildString(build)
        )
        for name, (version, build) in packages.items()
    ]


def _version(text: str, name: str) -> str:
    try:
        rattler.Version(text)
    except exceptions.InvalidVersionError as error:
        raise UsageError(
            f"CONDA_OVERRIDE_{name.strip('_').upper()} is {text!r}", hint="it can be a version, such as 2.36"
        ) from error
    return text


def _priority(settings: CondaSettings) -> rattler.ChannelPriority:
    disabled = settings.channel_priority.lower() in ("disabled", "false")
    return rattler.ChannelPriority.Disabled if disabled else rattler.ChannelPriority.Strict


def _locked(
    records: Iterable[rattler.RepoDataRecord],
    urls: Sequence[str],
    architecture: Architecture,
    comment: str,
) -> CondaLock:
    platform = rattler.LockPlatform(architecture.subdir)
    lock = rattler.LockFile([platform])
    lock.set_channels(ENVIRONMENT, [rattler.LockChannel(url) for url in urls])
    ordered = list(records)
    for record in ordered:
        record.url, record.channel = without_secrets(record.url), without_secrets(record.channel or "")
        lock.add_conda_package(ENVIRONMENT, platform, record)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "conda.lock")
        lock.to_path(path)
        text = comment + path.read_text()
    return _lock(text, urls, ordered)


def _lock(text: str, channels: Iterable[str], records: Iterable[rattler.RepoDataRecord]) -> CondaLock:
    ordered = tuple(sorted(records, key=lambda record: record.name.normalized))
    return CondaLock(text, tuple(channels), tuple(map(_archive, ordered)), ordered)


def _archive(record: rattler.RepoDataRecord) -> Archive:
    if record.sha256 is None:
        raise BakeError(
            f"the channel gives no sha256 of {record.file_name}", hint="index the channel again, with sha256"
        )
    channel, _, subdir = record.url.rpartition("/")[0].rpartition("/")
    package = Package(
        name=record.name.normalized,
        version=str(record.version),
        sha256=record.sha256.hex(),
        kind="conda",
        build=str(record.build),
        channel=channel,
        subdir=subdir,
    )
    return Archive(package, record.url)
