"""Start the local cloud's server, and follow its start."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from dask_bake.errors import BakeError
from dask_bake.local.settings import Settings
from dask_bake.system.subprocesses import start, stop

SERVER_STOP_TIMEOUT = 60.0
"""Seconds for the server to end its instances and remove what it made."""


def start_server(settings: Settings, prefix: Sequence[str]) -> None:
    """Start the server, and return when it is ready.

    Raises:
        BakeError: when it cannot start, with the reason.
    """
    with start(
        [*prefix, *server_command(settings)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        folder=Path("/"),
        environ={name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
    ) as process:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        try:
            if follow_start(process.stdout):
                process.returncode = 0  # the server runs on: leaving the block is not to wait for it
                return
        except KeyboardInterrupt:
            stop(process, SERVER_STOP_TIMEOUT)  # not one that sudo started: that server stays
            raise
        lines = process.stderr.read().strip().splitlines() if process.stderr else []
    reason = lines[-1] if lines else "its server ended"
    raise BakeError(f"the local cloud did not start: {reason}", hint=f"see {settings.log}")


def follow_start(lines: Iterable[str]) -> bool:
    """Read the server's reports until it is ready, and return whether it was.

    Raises:
        BakeError: when the server reports an error.
    """
    for line in lines:
        match json.loads(line):
            case {"ready": _}:
                return True
            case {"error": message, "hint": hint}:
                raise BakeError(message, hint=hint)
    return False


def server_command(settings: Settings) -> list[str]:
    """Return the server's command line: in a mount namespace of its own, with our settings alone."""
    kept = {
        "DASK_BAKE_LOCAL_NAME": settings.name,
        "DASK_BAKE_LOCAL_ROOT": str(settings.root),
        "DASK_BAKE_LOCAL_PORT": str(settings.port),
        "AWS_EC2_METADATA_DISABLED": "true",
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "PYTHONDONTWRITEBYTECODE": "1",  # root's files would be in the user's checkout
        "PATH": f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin",
    }
    if settings.block:
        kept["DASK_BAKE_LOCAL_BLOCK"] = str(settings.block)
    environment = [f"{key}={value}" for key, value in kept.items()]
    server = [sys.executable, "-m", "dask_bake.local.server"]
    return ["env", *environment, "unshare", "--mount", "--propagation", "slave", *server]
