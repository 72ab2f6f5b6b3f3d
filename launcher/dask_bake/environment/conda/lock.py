"""Locks of an environment that conda installs, including its pip part."""

import functools
import hashlib
import re

from dask_bake.environment.conda.channels import find_unreachable
from dask_bake.environment.conda.condarc import is_anacondas
from dask_bake.environment.conda.match_spec import parse_spec
from dask_bake.environment.conda.solve import LOCK_HINT, CondaLock, read_lock, solve, unsatisfied
from dask_bake.environment.installers import CondaInstaller, installers_lock
from dask_bake.environment.pip.requirement_files import are_unchanged
from dask_bake.environment.pip.resolve import resolve
from dask_bake.environment.pip.target import Target
from dask_bake.environment.pip_lock import Lock, parse_lock, render_lock
from dask_bake.environment.request import Request
from dask_bake.errors import UsageError
from dask_bake.events import Note, Notify

COMMENT = (
    "# Made from environment.yml by `dask-bake lock`: change that file, not this one.\n# environment: {}\n"
)
ON_TOP = "# on top of: {}\n"
"""Line of a conda.pip.lock with the sha256 of its conda.lock."""

# conda versions that are valid for pip.
VERSION = re.compile(r"\d+(?:\.\d+)*(?:(?:a|b|rc|\.post|\.dev)\d+)*")
TERMS = "Anaconda's channels have terms of service: larger organisations need a licence (anaconda.com/legal)."


class CondaLocking:
    """Locks one environment and makes its installer."""

    def __init__(self, request: Request, notify: Notify) -> None:
        self._request = request
        self._notify = notify
        environment = request.environment
        # Without a Python in the environment or a given lock, the running Python's version is used.
        is_free = not environment.python and request.options.lock is None
        python = (f"python={request.caller}",) if is_free else ()
        specs = (*environment.specs, *python, *(("pip",) if environment.requirements else ()))
        self._specs = tuple(parse_spec(spec).located(request.channels.settings) for spec in specs)
        self._locks = request.locks_for(request.caller)
        self._origin = str(self._locks.path("conda.lock"))
        # A lock is parsed to check it and again to use it.
        self._read = functools.cache(self._read_lock)

    def installer(self) -> CondaInstaller:
        """Lock the environment where necessary and return its installer."""
        request = self._request
        self._tell_of_terms()
        self._tell_of_extras()
        lock = self._read(self._locks.text("conda.lock", self._solve, holds=self._holds))
        if not lock.python:
            raise UsageError(f"{self._origin} locks no Python", hint=LOCK_HINT)
        return CondaInstaller(
            environment=request.environment,
            conda_lock=lock,
            pip_text=self._pip_part(lock) if request.environment.requirements else "",
            tool_text=installers_lock(request.directories.source),
            architecture=request.options.architecture,
            channels=request.channels,
            cache=request.directories.cache,
            folder=request.folder,
        )

    def is_locked(self) -> bool:
        """Return whether a conda.lock matches, so that no channel has to be read."""
        return self._locks.find("conda.lock", holds=self._holds) is not None

    def _tell_of_terms(self) -> None:
        specs = [parse_spec(spec) for spec in self._request.environment.specs]
        places = (*self._request.channels.places, *(spec.channel for spec in specs))
        if any(map(is_anacondas, places)) or "anaconda" in [spec.name for spec in specs]:
            self._notify(Note(TERMS))

    def _tell_of_extras(self) -> None:
        specs = map(parse_spec, self._request.environment.specs)
        if found := [spec for spec in specs if spec.extras]:
            written = ", ".join(f"{spec.text} is {spec.match}" for spec in found)
            self._notify(Note(f"Extras are pip's; for conda {written}."))

    def _solve(self) -> str:
        """Solve the environment and return the text of conda.lock."""
        request = self._request
        if why := find_unreachable(request.channels):
            raise why
        comment = COMMENT.format(request.environment.sha256)
        return solve(self._specs, request.channels, request.options.architecture, comment=comment).text

    def _read_lock(self, text: str) -> CondaLock:
        return read_lock(text, self._request.options.architecture, origin=self._origin)

    def _holds(self, text: str) -> bool:
        """Return whether a lock satisfies the specs; with ``--lock``, the channels may differ."""
        is_given = self._request.options.lock is not None
        lock = self._read(text)
        missing = unsatisfied(self._specs, lock)
        if missing and is_given:
            raise UsageError(f"{self._origin} does not satisfy {', '.join(missing)}", hint=LOCK_HINT)
        return not missing and (is_given or lock.channels == self._request.channels.addresses)

    def _pip_part(self, lock: CondaLock) -> str:
        """Return the text of conda.pip.lock: the packages that pip adds to conda's."""
        on_top = ON_TOP.format(hashlib.sha256(lock.text.encode()).hexdigest())

        def make() -> str:
            return on_top + render_lock(self._resolve(lock))

        def holds(text: str) -> bool:
            pip_lock = parse_lock(text)
            fits = on_top in text and pip_lock.python == lock.python
            return fits and are_unchanged(pip_lock.inputs, self._request.folder)

        return self._locks.text("conda.pip.lock", make, holds=holds)

    def _resolve(self, lock: CondaLock) -> Lock:
        request, there = self._request, lock.projects
        machine = request.options.architecture.machine
        found = resolve(
            request.environment.requirements,
            Target(lock.python, machine),
            folder=request.folder,
            cache=request.directories.cache / "wheels",
            notify=self._notify,
            constraints=[
                f"{name}=={version}" for name, version in there.items() if VERSION.fullmatch(version)
            ],
        )
        added = tuple(package for package in found.packages if package.name not in there)
        return Lock(request.environment.sha256, lock.python, machine, added, found.sources, found.inputs)
