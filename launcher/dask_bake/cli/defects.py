"""Exceptions that dask-bake does not expect: what the user is told, and the file with their tracebacks."""

import os
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from dask_bake import __version__
from dask_bake.errors import BakeError, LeftoverError, unexpected
from dask_bake.hints import command_line
from dask_bake.system.streams import OutputError
from dask_bake.system.xdg import state_home

DEBUG = "DASK_BAKE_DEBUG"
"""The variable that makes a defect's traceback appear on stderr."""
MOST_BYTES = 1_000_000
"""Size after which the file starts again from empty."""


def error_of(error: Exception, *, has_changed: bool) -> BakeError:
    """Return the error for an exception that ended a command; a ``BakeError`` stays as it is.

    Args:
        has_changed: whether the command has asked AWS to create, change or remove something.
    """
    if isinstance(error, BakeError):
        return error
    if isinstance(error, OSError) and (explained := _explained(error)):
        found = explained
    elif isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        found = BakeError(f"this machine refuses an operation: {where}{error.strerror}", defect=error)
    else:
        found = unexpected(error)
    if not has_changed:
        return found
    return LeftoverError(
        f"{found.message}. What this command has started may be running and cost money",
        hint=f"{command_line('ls')} shows what runs, {command_line('down', 'NAME')} ends it,"
        f" {command_line('reap')} finds what belongs to no cluster",
        defect=found.defect,
    )


def _explained(error: OSError) -> BakeError | None:
    """Return the error for an output that cannot be written, or a current folder that is gone."""
    if isinstance(error, OutputError):
        return BakeError(
            f"the output cannot be written: {error.strerror}",
            hint="free disk space, or redirect the output to another place",
        )
    if isinstance(error, FileNotFoundError) and not error.filename and not _cwd_exists():
        return BakeError("the current folder has been removed", hint="cd to another")
    return None


def _cwd_exists() -> bool:
    """Return whether the current folder still exists."""
    try:
        Path.cwd()
    except FileNotFoundError:
        return False
    return True


def record(error: BaseException, command: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """Store the exception's traceback; return a hint that says where it is, and what stderr is to show.

    The latter is the traceback itself if the user asked for it, or if the file cannot be written.
    """
    import traceback

    text = "".join(traceback.format_exception(error))
    path = state_home(environ) / "dask-bake" / "defects.log"
    verb = "see" if isinstance(error, OSError) else "report it with"
    hint = f"{verb} the traceback in {path}; {DEBUG}=1 prints it"
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        now = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
        _append(path, f"{now}, {command}, version {__version__}\n{text}\n")
        return hint, text if environ.get(DEBUG) else ""
    return f"{verb} the traceback above", text


def _append(path: Path, text: str) -> None:
    is_full = path.exists() and path.stat().st_size > MOST_BYTES
    flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if is_full else os.O_APPEND)
    with os.fdopen(os.open(path, flags, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
