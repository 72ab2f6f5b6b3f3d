"""Error messages for a folder without space or without permission."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dask_bake.errors import BakeError

MIB = 1 << 20
FOLDER_HINT = "correct HOME or XDG_CACHE_HOME, below which it is, or the rights of the folder"


@contextmanager
def explain_disk_errors(folder: Path, *, needed: int) -> Iterator[None]:
    """Turn an ``OSError`` for lack of space or permission into a ``BakeError`` about the folder.

    Args:
        needed: the bytes that the block writes, for the message.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise disk_full_error(folder, needed=needed) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS) or _is_of(folder, error):
            raise BakeError(f"{folder} cannot be written: {error.strerror}", hint=FOLDER_HINT) from error
        raise


def _is_of(folder: Path, error: OSError) -> bool:
    """Return whether the error is about the folder itself, or one of those above it, which cannot be made."""
    return bool(error.filename) and (folder / "x").is_relative_to(str(error.filename))


def disk_full_error(folder: Path, *, needed: int) -> BakeError:
    """Return the error for a folder whose disk is full."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    return BakeError(
        f"not enough space in {folder}: about {needed // MIB} MB are needed, {free // MIB} MB are free",
        hint="free disk space, or set XDG_CACHE_HOME to a folder on another disk",
    )
