"""Locks that a local cloud's server holds as long as it lives, however it ends: its pid file and its root."""

import fcntl
import os
import time

from dask_bake.errors import BakeError
from dask_bake.local.settings import Settings

A_QUESTION = 1.0
"""Seconds for which whoever asks who holds the lock may hold it himself."""


def claim(settings: Settings) -> int:
    """Take the lock, and return what holds it until it is closed.

    Raises:
        BakeError: when another server holds it.
    """
    settings.runtime.mkdir(parents=True, exist_ok=True)
    held = os.open(settings.pid_file, os.O_RDWR | os.O_CREAT, 0o644)
    deadline = time.monotonic() + A_QUESTION
    while not _locked(held):
        if time.monotonic() > deadline:
            os.close(held)
            raise BakeError(
                f"Another server of the local cloud {settings.name} is at work.",
                hint="Wait for it, or end it with dask-bake local down.",
            )
        time.sleep(0.05)
    os.truncate(held, 0)
    os.write(held, str(os.getpid()).encode())
    return held


def claim_root(settings: Settings) -> int:
    """Lock the root folder, and return what holds it until it is closed.

    Two local clouds with one root would remove each other's instances and layers.

    Raises:
        BakeError: when the server of another local cloud holds it.
    """
    settings.root.mkdir(parents=True, exist_ok=True)
    held = os.open(settings.root, os.O_RDONLY | os.O_DIRECTORY)
    deadline = time.monotonic() + A_QUESTION
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
    """Whether a server holds the root folder, be it of this local cloud or of another."""
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


def holder(settings: Settings) -> int | None:
    """The pid of the server that lives, whether or not it answers."""
    try:
        with settings.pid_file.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(file.read() or 0) or None
    except FileNotFoundError:
        pass
    return None
