"""A full disk in words: which folder, and how much of it is left."""

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dask_bake.errors import BakeError

MIB = 1 << 20


@contextmanager
def room_in(folder: Path, *, needed: int) -> Iterator[None]:
    """Whatever fails in it for want of room or of permission is said as a sentence about the folder."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise no_room(folder, needed=needed) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise BakeError(f"{folder} cannot be written: {error.strerror}") from error
        raise


def no_room(folder: Path, *, needed: int) -> BakeError:
    """The error that says that the folder's disk is full."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    return BakeError(
        f"no room in {folder}: about {needed // MIB} MB are needed, {free // MIB} MB are free",
        hint="make room, or set XDG_CACHE_HOME to a folder on another disk",
    )
