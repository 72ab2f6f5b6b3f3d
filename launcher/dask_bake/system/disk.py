"""Error messages for a folder without space or without permission."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dask_bake.errors import BakeError

MIB = 1 << 20


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
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise BakeError(f"{folder} cannot be written: {error.strerror}") from error
        raise


def disk_full_error(folder: Path, *, needed: int) -> BakeError:
    """Return the error for a folder whose disk is full."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    return BakeError(
        f"not enough space in {folder}: about {needed // MIB} MB are needed, {free // MIB} MB are free",
        hint="free disk space, or set XDG_CACHE_HOME to a folder on another disk",
    )
