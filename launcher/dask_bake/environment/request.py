"""Requests for an environment: the parsed environment.yml, its lock files and its channels."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dask_bake.environment.conda.channels import Channels
from dask_bake.environment.conda.condarc import effective_channels, expanded_channel, read_conda_settings
from dask_bake.environment.conda.match_spec import parse_spec
from dask_bake.environment.current import own_environment
from dask_bake.environment.foreign import as_environment, is_for_pip
from dask_bake.environment.lock_files import LockFiles, lock_files
from dask_bake.environment.options import EnvironmentOptions
from dask_bake.environment.spec import Environment, parse_environment
from dask_bake.errors import UsageError
from dask_bake.events import Note, Notify
from dask_bake.models.debian import RUNNING_PYTHON, DebianRelease
from dask_bake.models.tags import DEFAULT_ENVIRONMENT


@dataclass(frozen=True)
class Directories:
    """Folders: the project's own files, the user's state, and the cache.

    ``is_installed`` is true if ``source`` belongs to an installed package and is read-only.
    """

    source: Path
    state: Path
    cache: Path
    is_installed: bool = False


@dataclass(frozen=True)
class Request:
    """A requested environment, its lock files and its channels.

    Args:
        base: the Debian release of the base image, if the user named one.
        caller: the minor version of the Python that dask-bake runs in. An environment that names no Python
            gets it, so that a client on this machine can talk to the cluster.
        folder: the folder that paths in the environment are relative to.
    """

    options: EnvironmentOptions
    directories: Directories
    origin: str
    environment: Environment
    locks: LockFiles
    channels: Channels
    base: DebianRelease | None = None
    caller: str = RUNNING_PYTHON
    folder: Path = field(default_factory=Path.cwd)

    @property
    def is_for_pip(self) -> bool:
        """Return whether pip, not conda, installs the environment, as that of a requirements.txt."""
        return self.options.file is not None and not self.options.from_env and is_for_pip(self.options.file)

    def locks_for(self, python: str) -> LockFiles:
        """Return the locks for that minor version; an environment that names its Python has one set."""
        if self.environment.python or self.options.lock is not None:
            return self.locks
        return self.locks.for_python(python)


def read_request(
    options: EnvironmentOptions,
    directories: Directories,
    *,
    notify: Notify,
    renew: bool = False,
    keep: bool = True,
    base: DebianRelease | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Request:
    """Read the environment and conda's settings, without resolving anything.

    Raises:
        UsageError: if the environment or conda's settings are invalid.
    """
    file = None if options.from_env else options.file or directories.source / "environment.yml"
    origin = file.name if file else "this Python's environment"
    text = _own_text(notify) if file is None else _text_of(file, options)
    environment = parse_environment(text, origin)
    for note in environment.notes:
        notify(Note(note))
    locks = lock_files(
        environment,
        file,
        architecture=options.architecture,
        state=directories.state,
        shipped=directories.source if options.file is None and file and directories.is_installed else None,
        given=options.lock,
        renew=renew,
        keep=keep,
    )
    settings = read_conda_settings(environ)
    listed = [expanded_channel(channel, environ) for channel in environment.channels]
    named = [spec.channel for spec in map(parse_spec, environment.specs) if spec.channel]
    names = effective_channels(options.channels, listed, settings, named)
    channels = Channels(names, settings, directories.cache / "repodata")
    folder = file.absolute().parent if file else Path.cwd()
    return Request(options, directories, origin, environment, locks, channels, base, folder=folder)


def environment_name(options: EnvironmentOptions) -> str:
    """Return the name of the environment, by which its images are found.

    Raises:
        UsageError: if the file cannot be read, or is no environment.
    """
    if options.file is None:
        return DEFAULT_ENVIRONMENT
    return parse_environment(_text_of(options.file, options), options.file.name).name


def _text_of(file: Path, options: EnvironmentOptions) -> bytes:
    return as_environment(file, _read(file), options.architecture)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"the environment {path} cannot be read: {error.strerror}", hint="--env names an environment.yml"
        ) from error


def _own_text(notify: Notify) -> bytes:
    own = own_environment()
    if own.left_out:
        notify(Note(f"Left out, as their sources are gone: {', '.join(own.left_out)}."))
    return own.text
