"""Lock files: where they are, whether they match their environment, and atomic writes."""

import os
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from dask_bake.environment.spec import Environment
from dask_bake.errors import BakeError, UsageError
from dask_bake.models.cloud import Architecture

MADE_FROM = re.compile(r"^# environment: (?P<sha256>[0-9a-f]{64})$", re.MULTILINE)


@dataclass(frozen=True)
class LockFiles:
    """The lock files of one environment for one architecture.

    Args:
        folder: the folder of the lock files.
        prefix: file name prefix for the environment and architecture, as several share the folder.
        python: file name prefix for the Python version, if the environment names none.
        shipped: a read-only folder with locks, in an installed dask-bake.
        given: the lock that the user passes with ``--lock``.
        renew: ignore existing locks and make new ones.
        keep: write new locks to files.
    """

    environment: Environment
    folder: Path
    prefix: str = ""
    python: str = ""
    shipped: Path | None = None
    given: Path | None = None
    renew: bool = False
    keep: bool = True

    def for_python(self, minor: str) -> "LockFiles":
        """Return the locks for that minor version of Python, ``3.13``, in files of their own."""
        return replace(self, python=f"py{minor.replace('.', '')}.")

    def path(self, name: str) -> Path:
        """Return a lock's path: ``pip.lock`` or ``conda.lock``, and ``conda.pip.lock`` beside the latter."""
        if self.given is None:
            return self.folder / f"{self.prefix}{self.python}{name}"
        return self.given if name.count(".") == 1 else self.given.with_suffix(".pip.lock")

    def text(self, name: str, make: Callable[[], str], *, holds: Callable[[str], bool]) -> str:
        """Return the text of a lock that matches, or make a lock and write it.

        Raises:
            UsageError: if the given lock belongs to another environment or does not exist.
        """
        found = self.find(name, holds=holds)
        if found is not None:
            return found
        path = self.path(name)
        if self.given is not None:
            raise UsageError(
                f"{path} is not a lock of this environment" if path.exists() else f"there is no lock {path}",
                hint="without --lock the environment is locked anew; dask-bake lock writes that down",
            )
        made = make()
        if self.keep:
            write(path, made)
        return made

    def find(self, name: str, *, holds: Callable[[str], bool]) -> str | None:
        """Return the text of an existing lock that matches the environment, or ``None``."""
        path = self.path(name)
        places = (
            [path] if self.shipped is None or self.given else [path, self.shipped / f"{self.python}{name}"]
        )
        texts = () if self.renew else filter(None, map(read, places))
        return next((text for text in texts if self._belongs(text) and holds(text)), None)

    def _belongs(self, text: str) -> bool:
        """Return whether the lock names this environment, or none, as locks of other tools."""
        made_from = MADE_FROM.search(text)
        return made_from is None or made_from["sha256"] == self.environment.sha256


def lock_files(
    environment: Environment,
    file: Path | None,
    *,
    architecture: Architecture,
    state: Path,
    shipped: Path | None = None,
    given: Path | None = None,
    renew: bool = False,
    keep: bool = True,
) -> LockFiles:
    """Return the lock files beside the environment's file, or in the state folder."""
    parts = [file.stem] if file is not None and file.stem != "environment" else []
    parts += [architecture.value] if architecture is not Architecture.X86_64 else []
    folder = file.absolute().parent if file is not None and shipped is None else None
    if folder is None or not os.access(folder, os.W_OK):
        folder, parts = state / "locks", [environment.sha256[:12], *parts]
    prefix = "".join(f"{part}." for part in parts)
    return LockFiles(environment, folder, prefix, shipped=shipped, given=given, renew=renew, keep=keep)


def read(path: Path) -> str | None:
    """Return the file's text, or ``None`` if there is no file."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"the lock {path} cannot be read: {getattr(error, 'strerror', None) or error}",
            hint="dask-bake lock writes one",
        ) from error


def write(path: Path, text: str) -> None:
    """Write the file atomically."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        raise BakeError(
            f"the lock {path} cannot be written: {error.strerror}",
            hint="check the permissions of its folder and the free disk space",
        ) from error
    finally:
        with suppress(OSError):
            draft.unlink()
