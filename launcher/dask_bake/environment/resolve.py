"""Choice of an environment's installer, and its lock."""

from collections.abc import Sequence
from pathlib import Path

from dask_bake.environment.conda.channels import find_unreachable
from dask_bake.environment.conda.lock import CondaLocking
from dask_bake.environment.conda.match_spec import allows
from dask_bake.environment.installers import Installer, PipInstaller, installers_lock
from dask_bake.environment.lock_files import read
from dask_bake.environment.pip.interpreter import MIRROR_HINT, PythonBuild, available_builds, download
from dask_bake.environment.pip.requirement_files import are_unchanged
from dask_bake.environment.pip.resolve import resolve
from dask_bake.environment.pip.target import Target
from dask_bake.environment.pip_lock import Interpreter, Lock, parse_lock, render_lock
from dask_bake.environment.request import Request
from dask_bake.environment.translate import for_pip
from dask_bake.errors import BakeError, UsageError
from dask_bake.events import Note, Notify
from dask_bake.models.cloud import InstallerChoice
from dask_bake.models.debian import RELEASES, DebianRelease, minor, release_with

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
    """Return the installer of wheels, for the base image's own Python or for a build of uv's."""
    if request.options.channels:
        notify(Note("--channel has no effect: pip installs from its own index."))
    cache = request.directories.cache / "wheels"
    machine, release, given = request.options.architecture.machine, pip_release(request), _given(request)
    own_minor = release.python_minor if release else request.caller
    python_minor = minor(given.python) if given else own_minor
    wanted = for_pip(request.environment, request.origin)
    for note in (*wanted.notes, *(_other_patch(request, release) if release else ())):
        notify(Note(note))

    def make() -> str:
        interpreter = None
        if release is not None:
            target = Target(release.python, machine, release.glibc)
        else:
            interpreter = _bring_python(request, notify)
            target = Target(interpreter.version, machine, interpreter=interpreter)
        found = resolve(wanted.requirements, target, folder=request.folder, cache=cache, notify=notify)
        sha256, python = request.environment.sha256, target.python
        lock = Lock(sha256, python, machine, found.packages, found.sources, found.inputs, interpreter)
        return render_lock(lock)

    def holds(text: str) -> bool:
        lock = parse_lock(text)
        fits = lock.platform == machine and (lock.interpreter is None) == (release is not None)
        # The specs of an environment, which the lock belongs to, decide uv's build.
        if release is not None or not request.environment.python:
            fits = fits and minor(lock.python) == python_minor
        return fits and are_unchanged(lock.inputs, request.folder)

    text = request.locks_for(python_minor).text("pip.lock", make, holds=holds)
    tools = installers_lock(request.directories.source)
    return PipInstaller(request.environment, text, tools, cache, folder=request.folder)


def pip_release(request: Request) -> DebianRelease | None:
    """Return the Debian release whose Python runs what pip installs: the base named, or one that fits.

    ``None`` means that the image gets a Python of its own, a build of uv's.

    Raises:
        UsageError: if a given lock is for a Python that no release has, and names no build of it.
    """
    specs = request.environment.python
    fitting = [release for release in RELEASES if _has_python(release, specs)]
    caller = release_with(request.caller)
    given = _given(request)
    if given is not None and given.interpreter is not None:
        return None
    if request.base is not None:
        return request.base if request.base in fitting else None
    if given is not None:
        found = release_with(given.python)
        if found not in fitting:
            raise UsageError(
                f"--lock {request.options.lock} is for Python {given.python}, which no base image has"
                f" ({PYTHONS}), and names no build of it",
                hint="leave out --lock to lock the environment again",
            )
        return found
    if caller in fitting:
        return caller
    if not fitting or not specs:
        return None
    return fitting[-1]


def _given(request: Request) -> Lock | None:
    """Return the lock that the user passes with ``--lock``."""
    lock = request.options.lock
    return parse_lock(read(lock) or "") if lock is not None else None


def _bring_python(request: Request, notify: Notify) -> Interpreter:
    """Download the newest build of a Python that the environment allows, the caller's minor version first.

    Raises:
        UsageError: if there is none, or it cannot be downloaded; the message says why.
    """
    machine, cache = request.options.architecture.machine, request.directories.cache / "pythons"
    lacking = _lacking(request)
    try:
        fitting = [each for each in available_builds(machine, request.folder, notify) if _fits(each, request)]
        best = max(fitting, key=lambda each: _preference(each, request), default=None)
        if best is not None:
            notify(Note(f"{lacking}: uv downloads Python {best.version} for the image."))
            return download(best.name, cache, request.folder, notify)
    except BakeError as error:
        hint = error.hint or _other_ways(request)
        raise UsageError(f"{lacking}, and {error.message}", hint=hint) from error
    raise UsageError(f"{lacking}, and uv has no build of it for {machine}", hint=_other_ways(request))


def _preference(build: PythonBuild, request: Request) -> tuple[bool, list[int]]:
    return minor(build.version) == request.caller, [int(part) for part in build.version.split(".")]


def _fits(build: PythonBuild, request: Request) -> bool:
    specs = request.environment.python
    if not specs:
        return minor(build.version) == request.caller
    return all(allows(spec, [build.version]) for spec in specs)


def _lacking(request: Request) -> str:
    """Return the beginning of a sentence: which Python is wanted that the base image lacks."""
    specs = " ".join(request.environment.python)
    if request.base is not None:
        return f"{request.origin} asks for {specs}, --base {request.base.name} has {request.base.python}"
    if not specs:
        return f"{request.origin} names no Python, and no base image has this machine's {request.caller}"
    return f"{request.origin} asks for {specs}, and no base image has it ({PYTHONS})"


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


def _other_ways(request: Request) -> str:
    """Return how an environment can have a Python, if uv brings none."""
    specs = request.environment.python
    fitting = [release for release in RELEASES if specs and _has_python(release, specs)]
    ways = [f"--base {release.name}" for release in fitting]
    if not fitting and not request.is_for_pip:
        ways += [f"python={release.python_minor}" for release in RELEASES]
    conda = "--installer conda"
    if request.is_for_pip:
        line = f"-r {request.origin}" if request.origin.endswith((".txt", ".in")) else "-e ."
        conda += f" for an environment.yml with that Python and '{line}' under pip:"
    return f"{MIRROR_HINT}; else {' or '.join([*ways, conda])}"
