"""From what a user asks for to an installer with its lock: the lock that is there, or one made now."""

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from dask_bake.conda import LOCK_HINT, allows, parse_spec, read_lock, solve, unsatisfied
from dask_bake.conda_client import Channels, silence
from dask_bake.conda_settings import effective_channels, is_anacondas, read_conda_settings
from dask_bake.environment import Environment, parse_environment, pip_requirements, spec_name
from dask_bake.errors import UsageError
from dask_bake.events import Note, Notify
from dask_bake.installers import DEBIAN_PYTHON, CondaInstaller, Installer, PipInstaller
from dask_bake.lock import Lock, parse_lock, render_lock
from dask_bake.lock_files import LockFiles, lock_files, read
from dask_bake.models import Architecture
from dask_bake.own_environment import own_environment
from dask_bake.settings import Settings
from dask_bake.wheels import Target, resolve

COMMENT = (
    "# Made from environment.yml by `dask-bake lock`: change that file, not this one.\n# environment: {}\n"
)
ON_TOP = "# on top of: {}\n"
"""The sha256 of the conda.lock that a conda.pip.lock completes."""

# What pip can read of conda's versions.
VERSION = re.compile(r"\d+(?:\.\d+)*(?:(?:a|b|rc|\.post|\.dev)\d+)*")
TERMS = "Anaconda's channels have terms of service: larger organisations need a licence (anaconda.com/legal)."
# What a cluster cannot be without, in pip's words and in conda's.
NEEDED = (("dask", "dask-core"), ("distributed",))


Choice = TypeVar("Choice", bound=StrEnum)


class InstallerChoice(StrEnum):
    """Who installs the environment; ``auto`` is conda where its channel answers, else pip."""

    CONDA = "conda"
    PIP = "pip"
    AUTO = "auto"


@dataclass(frozen=True)
class EnvironmentOptions:
    """What a user says of an environment.

    Args:
        file: the environment.yml, ``None`` for the one that comes along.
        from_env: this Python's own packages, instead of a file.
        lock: a lock to be used as it is.
        channels: conda channels that come before the environment's.
    """

    file: Path | None = None
    from_env: bool = False
    installer: InstallerChoice = InstallerChoice.CONDA
    lock: Path | None = None
    channels: tuple[str, ...] = ()
    architecture: Architecture = Architecture.X86_64

    def __post_init__(self) -> None:
        if self.file is not None and self.from_env:
            raise UsageError("--env and --from-env are two environments", hint="give one of them")


def environment_options(
    flags: Mapping[str, Any], *, lock: Path | None, environ: Mapping[str, str], settings: Settings
) -> EnvironmentOptions:
    """The options: a flag that was given, else the process's environment, else the user's file."""
    installer = _one_of(
        InstallerChoice,
        (flags["installer"], "--installer"),
        # A lock that was given says by its format who installs it.
        (None if lock is None else InstallerChoice.AUTO, "--lock"),
        (environ.get("DASK_BAKE_INSTALLER") or None, "DASK_BAKE_INSTALLER"),
        (settings.installer, "the configuration file's installer"),
    )
    architecture = _one_of(Architecture, (flags["arch"], "--arch"))
    return EnvironmentOptions(
        file=flags["file"],
        from_env=flags["from_env"],
        installer=installer or InstallerChoice.CONDA,
        lock=lock,
        channels=tuple(flags["channels"]),
        architecture=architecture or Architecture.X86_64,
    )


def _one_of(kind: type[Choice], *given: tuple[str | None, str]) -> Choice | None:
    for value, origin in given:
        if value is not None:
            try:
                return kind(value)
            except ValueError:
                possible = ", ".join(kind)
                raise UsageError(f"{origin} is {value!r}", hint=f"it can be {possible}") from None
    return None


@dataclass(frozen=True)
class Places:
    """Where things are: what comes along, what is kept for later, and what can be had again.

    ``is_installed`` says that what comes along is an installed package's, which nobody writes into.
    """

    source: Path
    state: Path
    cache: Path
    is_installed: bool = False


@dataclass(frozen=True)
class Request:
    """What was asked for, read: the environment, its locks, and the channels that it may come from."""

    options: EnvironmentOptions
    places: Places
    origin: str
    environment: Environment
    locks: LockFiles
    channels: Channels


def read_request(
    options: EnvironmentOptions,
    places: Places,
    *,
    notify: Notify,
    renew: bool = False,
    environ: Mapping[str, str] = os.environ,
) -> Request:
    """The request; nothing is resolved yet.

    Raises:
        UsageError: when the environment or conda's settings cannot be read.
    """
    file = None if options.from_env else options.file or places.source / "environment.yml"
    origin = file.name if file else "this Python's environment"
    environment = parse_environment(_own_text(notify) if file is None else _read(file), origin)
    locks = lock_files(
        environment,
        file,
        architecture=options.architecture,
        state=places.state,
        shipped=places.source if options.file is None and file and places.is_installed else None,
        given=options.lock,
        renew=renew,
    )
    settings = read_conda_settings(environ, Path(environ.get("HOME") or "~").expanduser())
    names = effective_channels(options.channels, environment.channels, settings)
    return Request(
        options, places, origin, environment, locks, Channels(names, settings, places.cache / "repodata")
    )


def prepare(request: Request, *, notify: Notify) -> Installer:
    """The installer with its lock: the one given, the one that still holds, or one resolved and kept now.

    Raises:
        UsageError: when the environment and a lock do not belong together, or no cluster can run in it.
        BakeError: when the environment cannot be resolved, with the solver's explanation.
    """
    installer: Installer
    if choose(request, notify=notify) is InstallerChoice.CONDA:
        installer = _conda(request, notify)
    else:
        installer = _pip(request, notify)
    missing = [names[0] for names in NEEDED if not any(map(installer.lock.version, names))]
    if missing:
        raise UsageError(
            f"{request.origin} brings no {' and no '.join(missing)}, so no cluster could run in it",
            hint="add them to its dependencies",
        )
    return installer


def choose(request: Request, *, notify: Notify) -> InstallerChoice:
    """Who installs: as asked for, as the given lock's format says, or as the channel's silence says."""
    asked, given = request.options.installer, request.options.lock
    if given is not None:
        is_pips = "--hash=sha256:" in (read(given) or "")
        if is_pips:
            return InstallerChoice.PIP
        if asked is InstallerChoice.PIP:
            raise UsageError(f"--lock {given} is not pip's, as --installer is", hint="leave out --installer")
        return InstallerChoice.CONDA
    if asked is not InstallerChoice.AUTO:
        return asked
    why = silence(request.channels)
    if why is None:
        return InstallerChoice.CONDA
    notify(Note(f"Packages come from pip's index: {why.message}."))
    return InstallerChoice.PIP


def _pip(request: Request, notify: Notify) -> PipInstaller:
    """Everything from wheels, for the base image's Python."""
    machine = request.options.architecture.machine
    minor = DEBIAN_PYTHON.rpartition(".")[0]
    for spec in request.environment.specs:
        if spec_name(spec) == "python" and not allows(spec, [f"{minor}.{patch}" for patch in range(30)]):
            raise UsageError(
                f"{request.origin} asks for {spec}; pip's packages run on the base image's {DEBIAN_PYTHON}",
                hint="--installer conda brings the Python that is asked for",
            )
    target = Target(DEBIAN_PYTHON, machine)
    requirements = pip_requirements(request.environment, request.origin)

    def make() -> str:
        packages = resolve(requirements, target, notify=notify)
        return render_lock(Lock(request.environment.sha256, DEBIAN_PYTHON, machine, packages))

    text = request.locks.text("pip.lock", make, holds=lambda text: parse_lock(text).platform == machine)
    return PipInstaller(request.environment, text, request.places.cache / "wheels")


def _conda(request: Request, notify: Notify) -> CondaInstaller:
    """conda's packages, and on top of them the wheels of the environment's pip part."""
    environment, architecture, channels = request.environment, request.options.architecture, request.channels
    specs = (*environment.specs, *(("pip",) if environment.requirements else ()))
    for spec in specs:
        parse_spec(spec)
    asked = (spec.partition("::")[0] for spec in environment.specs if "::" in spec)
    if any(map(is_anacondas, (*channels.places, *asked))) or "anaconda" in map(spec_name, environment.specs):
        notify(Note(TERMS))

    def make() -> str:
        comment = COMMENT.format(environment.sha256)
        if why := silence(channels):
            raise why
        solved = solve(specs, channels, architecture, comment=comment)
        if not solved.python:
            raise UsageError(f"{request.origin} brings no Python", hint="add python=3.11 to its dependencies")
        return solved.text

    origin = str(request.locks.path("conda.lock"))

    def holds(text: str) -> bool:
        lock = read_lock(text, architecture, origin=origin)
        missing = unsatisfied(specs, lock)
        if missing and request.options.lock is not None:
            raise UsageError(f"{origin} does not satisfy {', '.join(missing)}", hint=LOCK_HINT)
        return not missing and (request.options.lock is not None or lock.channels == ours)

    ours = channels.addresses
    lock = read_lock(request.locks.text("conda.lock", make, holds=holds), architecture, origin=origin)
    if not lock.python:
        raise UsageError(f"{origin} locks no Python", hint=LOCK_HINT)
    on_top = ON_TOP.format(hashlib.sha256(lock.text.encode()).hexdigest())

    def make_pip_part() -> str:
        there = lock.projects
        packages = resolve(
            environment.requirements,
            Target(lock.python, architecture.machine),
            notify=notify,
            constraints=[
                f"{name}=={version}" for name, version in there.items() if VERSION.fullmatch(version)
            ],
        )
        ours = tuple(package for package in packages if package.name not in there)
        return on_top + render_lock(Lock(environment.sha256, lock.python, architecture.machine, ours))

    def still_on_top(text: str) -> bool:
        return on_top in text and parse_lock(text).python == lock.python

    pip_text = (
        request.locks.text("conda.pip.lock", make_pip_part, holds=still_on_top)
        if environment.requirements
        else ""
    )
    return CondaInstaller(
        environment=environment,
        conda_lock=lock,
        pip_text=pip_text,
        tool_text=(request.places.source / "rattler.lock").read_text(),
        architecture=architecture,
        channels=channels,
        cache=request.places.cache,
    )


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
        notify(Note(f"Left out, as no index has them: {', '.join(own.left_out)}."))
    return own.text
