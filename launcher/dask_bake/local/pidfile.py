"""The locks of a local cloud's server, on its pid file and its root; the kernel releases them at its end.

The pid file can be opened, and so locked, by root and the cloud's owner alone.
"""

import fcntl
import os
import stat
import time

from dask_bake.errors import BakeError
from dask_bake.local.credentials import foreign_cloud_error, owner_uid
from dask_bake.local.settings import Settings

LOCK_TIMEOUT = 1.0
"""Seconds to wait for a lock, which a command that checks it can hold for a moment."""


def lock_pid_file(settings: Settings) -> int:
    """Lock the pid file, and return the descriptor that holds the lock until it is closed.

    Raises:
        BakeError: when another server holds the lock.
    """
    settings.runtime.mkdir(parents=True, exist_ok=True)
    settings.runtime.chmod(0o755)  # whatever the umask: others may see whose it is
    held = os.open(settings.pid_file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    os.fchmod(held, 0o600)
    os.fchown(held, owner_uid(), -1)
    deadline = time.monotonic() + LOCK_TIMEOUT
    while not _locked(held):
        if time.monotonic() > deadline:
            os.close(held)
            raise BakeError(
                f"another server of the local cloud {settings.name} is running",
                hint="end it with dask-bake local down",
            )
        time.sleep(0.05)
    os.truncate(held, 0)
    os.write(held, str(os.getpid()).encode())
    return held


def lock_root(settings: Settings) -> int:
    """Lock the root folder, and return the descriptor that holds the lock until it is closed.

    Two local clouds with one root would remove each other's instances and layers.

    Raises:
        BakeError: when another user can change the folder, or another local cloud's server holds the lock.
    """
    settings.root.mkdir(mode=0o700, parents=True, exist_ok=True)
    held = os.open(settings.root, os.O_RDONLY | os.O_DIRECTORY)
    status = os.fstat(held)
    if status.st_uid not in (os.geteuid(), owner_uid()) or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        os.close(held)
        raise BakeError(
            f"other users of this machine can change the folder {settings.root}",
            hint="set DASK_BAKE_LOCAL_ROOT to a folder that only you and root can write to",
        )
    deadline = time.monotonic() + LOCK_TIMEOUT
    while not _locked(held):
        if time.monotonic() > deadline:
            os.close(held)
            raise BakeError(
                f"the folder {settings.root} is in use by another local cloud",
                hint="set DASK_BAKE_LOCAL_ROOT to a folder that no other local cloud has",
            )
        time.sleep(0.05)
    return held


def is_root_held(settings: Settings) -> bool:
    """Return whether a server uses the root folder: this local cloud's or another's."""
    try:
        folder = os.open(settings.root, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return False
    try:
        fcntl.flock(folder, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(folder)
    return False


def _locked(held: int) -> bool:
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def running_pid(settings: Settings) -> int | None:
    """Return the pid of the server that holds the pid file, whether or not it answers, or None.

    Raises:
        UsageError: when the local cloud belongs to another user.
    """
    try:
        with settings.pid_file.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(file.read() or 0) or None
    except PermissionError:
        raise foreign_cloud_error(settings) from None
    except (FileNotFoundError, ValueError):
        pass
    return None
