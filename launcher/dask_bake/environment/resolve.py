"""From an environment that was asked for to an installer with its lock: one that is there, or made now."""

from pathlib import Path

from dask_bake.environment.conda.channels import silence
from dask_bake.environment.conda.lock import CondaLocking
from dask_bake.environment.conda.solve import allows
from dask_bake.environment.installers import DEBIAN_PYTHON, Installer, PipInstaller
from dask_bake.environment.lock_files import read
from dask_bake.environment.pip import Target, resolve
from dask_bake.environment.pip_lock import Lock, parse_lock, render_lock
from dask_bake.environment.request import Request
from dask_bake.environment.spec import pip_requirements, spec_name
from dask_bake.errors import UsageError
from dask_bake.events import Note, Notify
from dask_bake.models.cluster import InstallerChoice

# What a cluster cannot be without, in pip's words and in conda's.
NEEDED = (("dask", "dask-core"), ("distributed",))


def prepare(request: Request, *, notify: Notify) -> Installer:
    """The installer with its lock: the one given, the one that still holds, or one resolved and kept now.

    Raises:
        UsageError: when the environment and a lock do not belong together, or no cluster can run in it.
        BakeError: when the environment cannot be resolved, with the solver's explanation.
    """
    installer: Installer
    if choose(request, notify=notify) is InstallerChoice.CONDA:
        installer = CondaLocking(request, notify).installer()
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
        own = _format(given)
        if asked not in (own, InstallerChoice.AUTO):
            raise UsageError(
                f"--lock {given} is {own}'s, and --installer {asked}", hint="leave out --installer"
            )
        return own
    if asked is not InstallerChoice.AUTO:
        return asked
    if CondaLocking(request, notify).is_locked():
        return InstallerChoice.CONDA
    why = silence(request.channels)
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
    """Everything from wheels, for the base image's Python."""
    if request.options.channels:
        notify(Note("--channel is conda's; pip installs, from its own index."))
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
