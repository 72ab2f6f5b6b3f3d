"""Files hashed, and packed so that nothing of this machine is in the archive."""

import hashlib
import tarfile
from pathlib import Path

# Packed files are as old as the century: tar warns of files from 1970.
PACKED_AT = 946_684_800


def add_file(archive: tarfile.TarFile, path: Path, name: str) -> None:
    """The file is in the archive, with nothing of this machine: no owner, no time."""
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
    """The hash of what the file holds."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
