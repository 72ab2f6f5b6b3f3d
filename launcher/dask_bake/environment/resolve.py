"""Choice of an environment's installer, and its lock."""

from collections.abc import Sequence
from pathlib import Path

from dask_bake.environment.conda.channels import find_unreachable
from dask_bake.environment.conda.lock import CondaLocking
from dask_bake.environment.conda.match_spec import allows
from dask_bake.environment.installers import Installer, PipInstaller
from dask_bake.environment.lock_files import read
from dask_bake.environment.pip.requirement_files import are_unchanged
from dask_bake.environment.pip.resolve import resolve
from dask_bake.environment.pip.target import Target
from dask_bake.environment.pip_lock import Lock, parse_lock, render_lock
from dask_bake.environment.request import Request
from dask_bake.environment.translate import for_pip
from dask_bake.errors import UsageError
from dask_bake.events import Note, Notify
from dask_bake.models.cloud import InstallerChoice
from dask_bake.models.debian import NEWEST, RELEASES, DebianRelease, minor, release_with

# Packages that a cluster requires, by their names for pip and for conda.
NEEDED = (("dask", "dask-core"), ("distributed",))
PYTHONS = ", ".join(f"{release.python_minor} on {release}" for release in RELEASES)


def prepare(request: Request, *, notify: Notify) -> Installer:
    """Return the installer, with the given lock, a matching lock, or a new one.

    Raises:
        UsageError: if a lock does not match the environment, or the environment lacks Dask.
        BakeError: if the environment cannot be resolved, with the solver's explanation.
    """
    installer: Installer
    if choose(request, notify=notify) is InstallerChoice.CONDA:
        installer = CondaLocking(request, notify).installer()
    else:
        installer = _pip(request, notify)
    missing = [names[0] for names in NEEDED if not any(map(installer.lock.version, names))]
    if missing:
        raise UsageError(
            f"{request.origin} does not include {' and '.join(missing)}, which a cluster needs",
            hint="add them to its dependencies",
        )
    if minor(installer.lock.python) != request.caller:
        notify(
            Note(
                f"The image will have Python {installer.lock.python}, this machine has {request.caller}:"
                " a client here could not use its clusters."
            )
        )
    return installer


def choose(request: Request, *, notify: Notify) -> InstallerChoice:
    """Return the installer to use: by the file's format, as requested, or pip if a channel is silent."""
    asked, given = request.options.installer, request.options.lock
    if given is not None:
        own = _format(given)
        if asked not in (own, InstallerChoice.AUTO):
            raise UsageError(
                f"--lock {given} is {own}'s, and --installer {asked}", hint="leave out --installer"
            )
        return own
    if request.is_for_pip:
        return InstallerChoice.PIP
    if asked is not InstallerChoice.AUTO:
        return asked
    if CondaLocking(request, notify).is_locked():
        return InstallerChoice.CONDA
    why = find_unreachable(request.channels)
    if why is None:
        return InstallerChoice.CONDA
    notify(Note(f"Packages come from pip's index: {why.message}."))
    return InstallerChoice.PIP


def _format(lock: Path) -> InstallerChoice:
    text = read(lock)
    if text is None:
        raise UsageError(f"--lock {lock} does not exist", hint="dask-bake lock writes one")
    return InstallerChoice.PIP if "--hash=sha256:" in text else InstallerChoice.CONDA


def _pip(request: Request, notify: Notify) -> PipInstaller:
    """Return the installer of wheels, for the base image's own Python."""
    if request.options.channels:
        notify(Note("--channel has no effect: pip installs from its own index."))
    cache = request.directories.cache / "wheels"
    machine, release = request.options.architecture.machine, pip_release(request)
    target = Target(release.python, machine, release.glibc)
    wanted = for_pip(request.environment, request.origin)
    for note in (*wanted.notes, *_other_patch(request, release)):
        notify(Note(note))

    def make() -> str:
        found = resolve(wanted.requirements, target, folder=request.folder, cache=cache, notify=notify)
        lock = Lock(
            request.environment.sha256, release.python, machine, found.packages, found.sources, found.inputs
        )
        return render_lock(lock)

    def holds(text: str) -> bool:
        lock = parse_lock(text)
        fits = lock.platform == machine and minor(lock.python) == release.python_minor
        return fits and are_unchanged(lock.inputs, request.folder)

    text = request.locks_for(release.python_minor).text("pip.lock", make, holds=holds)
    return PipInstaller(request.environment, text, cache, folder=request.folder)


def pip_release(request: Request) -> DebianRelease:
    """Return the Debian release whose Python runs what pip installs: the base named, or one that fits.

    Raises:
        UsageError: if no release has the requested Python.
    """
    specs = request.environment.python
    fitting = [release for release in RELEASES if _has_python(release, specs)]
    caller = release_with(request.caller)
    if request.base is not None:
        if request.base not in fitting:
            raise UsageError(
                f"{request.origin} asks for {' '.join(specs)}; --base {request.base.name} has Python"
                f" {request.base.python}",
                hint=", or ".join([*(f"--base {release.name}" for release in fitting), _brought(request)]),
            )
        return request.base
    if request.options.lock is not None:
        locked = parse_lock(read(request.options.lock) or "").python
        found = release_with(locked)
        if found not in fitting:
            raise UsageError(
                f"--lock {request.options.lock} is for Python {locked}, and pip's packages run on the base"
                f" image's own: {PYTHONS}",
                hint="leave out --lock to lock the environment again",
            )
        return found
    if not specs and caller is None:
        raise UsageError(
            f"{request.origin} names no Python, and no base image has this machine's {request.caller}:"
            f" {PYTHONS}",
            hint=f"write an environment.yml with python={NEWEST.python_minor} and {_as_pip_part(request)}"
            if request.is_for_pip
            else f"--installer conda brings it; or add python={NEWEST.python_minor} to the dependencies",
        )
    if caller in fitting:
        return caller
    if not fitting:
        raise UsageError(
            f"{request.origin} asks for {' '.join(specs)}; pip's packages run on the base image's own Python:"
            f" {PYTHONS}",
            hint=_brought(request),
        )
    return fitting[-1]


def _other_patch(request: Request, release: DebianRelease) -> list[str]:
    """Return a note if the environment asks for another patch version of the base image's Python."""
    specs = request.environment.python
    if all(allows(spec, [release.python]) for spec in specs):
        return []
    return [
        f"{request.origin} asks for {' '.join(specs)}: pip's packages run on {release}'s {release.python}."
        " --installer conda brings the version that is asked for."
    ]


def _has_python(release: DebianRelease, specs: Sequence[str]) -> bool:
    versions = [f"{release.python_minor}.{patch}" for patch in range(30)]
    return all(allows(spec, versions) for spec in specs)


def _brought(request: Request) -> str:
    """Return how an environment can have a Python that no base image has."""
    if request.is_for_pip:
        return (
            f"--installer conda brings it for an environment.yml with that Python and {_as_pip_part(request)}"
        )
    return "--installer conda brings the Python that is asked for"


def _as_pip_part(request: Request) -> str:
    """Return the words that name a file of pip's in an environment.yml."""
    line = f"-r {request.origin}" if request.origin.endswith((".txt", ".in")) else "-e ."
    return f"'{line}' under pip:"
