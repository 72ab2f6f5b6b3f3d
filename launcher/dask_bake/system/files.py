"""Hash files, and pack them so that the archive does not depend on this machine."""

import hashlib
import tarfile
from pathlib import Path

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
