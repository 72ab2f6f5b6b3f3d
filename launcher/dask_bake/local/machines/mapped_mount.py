"""Mounts with mapped owners: a machine sees the files of the layers as those of its own range of users.

mount(8) of Debian 12 does not make them, so this module calls the kernel (mount_setattr(2), "ID-mapped
mounts").
"""

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dask_bake.local.user_namespace import COUNT, OFFSET, first_user, overlays_mapped_layers
from dask_bake.system.subprocesses import start

OPEN_TREE, MOVE_MOUNT, MOUNT_SETATTR = 428, 429, 442
"""Numbers of system calls, the same on all architectures that were added to Linux since 2019."""
AT_FDCWD, AT_EMPTY_PATH = -100, 0x1000
OPEN_TREE_CLONE = 1
MOVE_MOUNT_F_EMPTY_PATH = 4
MOUNT_ATTR_IDMAP = 0x100000
MNT_DETACH = 2


class _Attributes(ctypes.Structure):
    """``struct mount_attr`` of mount_setattr(2)."""

    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


def can_map(folder: Path, release: str = os.uname().release, user_id: int | None = None) -> bool:
    """Return whether layers in the folder, or where it will be, can be mounted with mapped owners.

    Only root can try that: for another user, the release of the kernel decides.

    Args:
        user_id: user that asks; None is this process's.
    """
    if not overlays_mapped_layers(release):
        return False
    if (os.geteuid() if user_id is None else user_id) != 0:
        return True
    existing = next(each for each in (folder, *folder.parents) if each.exists())
    try:
        os.close(_mapped_tree(existing, first_user("0.0.0.0")))  # noqa: S104 - any range will do
    except OSError:
        return False
    return True


@contextmanager
def mapped(folder: Path, target: Path, users: int) -> Iterator[None]:
    """Mount a folder at another one while the block runs; layers belong to users from ``users`` on there.

    The mount is detached at the end, so that nobody removes the folder's content by it.

    Raises:
        OSError: when the kernel refuses.
    """
    target.mkdir(exist_ok=True)
    tree = _mapped_tree(folder, users)
    try:
        _call(MOVE_MOUNT, tree, b"", AT_FDCWD, os.fsencode(target), MOVE_MOUNT_F_EMPTY_PATH)
    finally:
        os.close(tree)
    try:
        yield
    finally:
        if _libc().umount2(os.fsencode(target), MNT_DETACH):
            raise _last_error()
        target.rmdir()


def _mapped_tree(folder: Path, users: int) -> int:
    """Return a descriptor of a new mount of the folder that is nowhere in the file system yet."""
    tree = _call(OPEN_TREE, AT_FDCWD, os.fsencode(folder), OPEN_TREE_CLONE | os.O_CLOEXEC)
    try:
        namespace = _user_namespace(users)
        try:
            attributes = _Attributes(attr_set=MOUNT_ATTR_IDMAP, userns_fd=namespace)
            size = ctypes.sizeof(attributes)
            _call(MOUNT_SETATTR, tree, b"", AT_EMPTY_PATH, ctypes.byref(attributes), size)
        finally:
            os.close(namespace)
    except BaseException:
        os.close(tree)
        raise
    return tree


def _user_namespace(users: int) -> int:
    """Return a descriptor of a user namespace that maps the layers' owners to those users.

    It also maps the host's root to itself, who makes overlayfs's working folders.
    """
    process = start(["unshare", "--user", "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with process:
        assert process.stdin is not None  # noqa: S101 - it is a pipe
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        print(file=process.stdin, flush=True)
        process.stdout.readline()  # it answers from its new namespace
        for kind in ("uid", "gid"):
            Path(f"/proc/{process.pid}/{kind}_map").write_text(f"0 0 1\n{OFFSET} {users} {COUNT}\n")
        return os.open(f"/proc/{process.pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)


def _call(number: int, *arguments: object) -> int:
    words = [ctypes.c_long(each) if isinstance(each, int) else each for each in (number, *arguments)]
    result: int = _libc().syscall(*words)
    if result < 0:
        raise _last_error()
    return result


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _last_error() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))
