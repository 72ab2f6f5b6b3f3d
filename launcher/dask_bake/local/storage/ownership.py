"""Ownership of layers: their files belong to the range of users that instances' user namespaces map.

Layers are stored as the host sees them, so that overlayfs needs no mapped mounts, which Debian 12's mount(8)
cannot make. A setuid program in a layer is one of the instance's root, and has no power on the host.
"""

import os
import stat
import struct
from collections.abc import Iterator
from pathlib import Path

from dask_bake.local.user_namespace import COUNT, OFFSET

ACL_NAMED = (0x02, 0x08)
"""Tags of the entries that name a user or a group (linux/posix_acl.h)."""
CAPABILITY_REVISION_2, CAPABILITY_REVISION_3 = 0x02000000, 0x03000000
CAPABILITY_FLAGS = 0x00FFFFFF


def is_shifted(tree: Path) -> bool:
    """Return whether a layer's files belong to the range: its root folder is shifted last."""
    return OFFSET <= tree.lstat().st_uid < OFFSET + COUNT


def shift(tree: Path) -> None:
    """Move the owners of all files of a tree into the range, its root last; safe to repeat."""
    for path in _bottom_up(tree):
        status = os.lstat(path)
        user, group = (_shifted(number) for number in (status.st_uid, status.st_gid))
        if (user, group) == (status.st_uid, status.st_gid):
            continue
        names = os.listxattr(path, follow_symlinks=False)
        kept = {name: os.getxattr(path, name, follow_symlinks=False) for name in names if name in SHIFTED}
        os.lchown(path, user, group)
        if not stat.S_ISLNK(status.st_mode):
            os.chmod(path, stat.S_IMODE(status.st_mode))  # noqa: PTH101 - chown has cleared setuid
        for name, value in kept.items():
            os.setxattr(path, name, SHIFTED[name](value), follow_symlinks=False)


def give_to_root(path: Path) -> None:
    """Give one file or folder to the instance's root."""
    os.chown(path, OFFSET, OFFSET, follow_symlinks=False)


def _bottom_up(tree: Path) -> Iterator[str]:
    for folder, folders, files in os.walk(tree, topdown=False):
        yield from (os.path.join(folder, name) for name in (*files, *folders))  # noqa: PTH118 - many
    yield str(tree)


def _shifted(number: int) -> int:
    return number + OFFSET if number < COUNT else number


def _shifted_acl(value: bytes) -> bytes:
    """Return an ACL's extended attribute with the ids of its named users and groups shifted (acl(5))."""
    entries = struct.iter_unpack("<HHI", value[4:])
    return value[:4] + b"".join(
        struct.pack("<HHI", tag, rights, _shifted(number) if tag in ACL_NAMED else number)
        for tag, rights, number in entries
    )


def _shifted_capability(value: bytes) -> bytes:
    """Return a file's capabilities as those of the instance's root: revision 3 (capabilities(7))."""
    (magic,) = struct.unpack_from("<I", value)
    magic = CAPABILITY_REVISION_3 | magic & CAPABILITY_FLAGS
    return struct.pack("<I", magic) + value[4:20] + struct.pack("<I", OFFSET)


SHIFTED = {
    "system.posix_acl_access": _shifted_acl,
    "system.posix_acl_default": _shifted_acl,
    "security.capability": _shifted_capability,
}
"""The extended attributes that contain ids, or that a change of the owner removes."""
