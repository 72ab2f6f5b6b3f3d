"""Hash files, pack them so that the archive does not depend on this machine, and make private folders."""

import hashlib
import os
import stat
import tarfile
import tempfile
from contextlib import suppress
from pathlib import Path

from dask_bake.errors import BakeError

# 2000-01-01, because tar warns about files from 1970.
PACKED_AT = 946_684_800


def add_file(archive: tarfile.TarFile, path: Path, name: str) -> None:
    """Add the file to the archive with a fixed owner, mode and time."""
    member = tarfile.TarInfo(name)
    member.size = path.stat().st_size
    member.mode = 0o755 if is_executable(path) else 0o644
    member.mtime = PACKED_AT
    member.uname = member.gname = "root"
    with path.open("rb") as content:
        archive.addfile(member, content)


def is_executable(path: Path) -> bool:
    """Return whether the file's owner may execute it."""
    return bool(path.stat().st_mode & 0o100)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of the file's content, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def make_private(folder: Path) -> None:
    """Make a folder that only its owner can enter; change an existing one into such a folder.

    The folders above it that are missing are made likewise, whatever the umask.

    Raises:
        BakeError: when it belongs to another user, who could change its content.
    """
    for missing in (*(each for each in reversed(folder.parents) if not each.exists()), folder):
        missing.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise BakeError(
            f"{folder} is a link, or belongs to another user", hint="remove it, or use another folder"
        )
    folder.chmod(0o700)


def replace_file(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Write a file so that at no time it is half written; a link stays one.

    An existing file keeps its mode and, where this user may give that, its owner.
    """
    target = Path(os.path.realpath(path))
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)
            if target.exists():
                status = target.stat()
                with suppress(PermissionError):
                    os.fchown(file.fileno(), status.st_uid, status.st_gid)
                os.fchmod(file.fileno(), stat.S_IMODE(status.st_mode))
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
