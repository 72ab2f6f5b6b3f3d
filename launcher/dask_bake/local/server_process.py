"""How the local cloud's server is started, and what it says until it is ready."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from dask_bake.errors import BakeError
from dask_bake.local.settings import Settings


def start_server(settings: Settings, prefix: Sequence[str]) -> None:
    """Start the server, and return when it is ready.

    Raises:
        BakeError: when it cannot run; the message says why.
    """
    with subprocess.Popen(
        [*prefix, *server_command(settings)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        cwd="/",
        env={name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
    ) as process:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        try:
            if follow_start(process.stdout):
                # The server goes on without us: do not wait for it, which leaving the block would do.
                process.returncode = 0
                return
        except KeyboardInterrupt:
            with suppress(PermissionError):  # sudo's child is not ours to end; its server stays
                process.terminate()
            raise
        said = process.stderr.read().strip().splitlines() if process.stderr else []
    reason = said[-1] if said else "its server ended"
    raise BakeError(f"The local cloud did not start: {reason}", hint=f"See {settings.log}.")


def follow_start(lines: Iterable[str]) -> bool:
    """Read what the server reports while it starts, and return whether it was ready at the end.

    Raises:
        BakeError: when the server says that it cannot run.
    """
    for line in lines:
        fact = json.loads(line)
        match fact:
            case {"ready": _}:
                return True
            case {"error": message, "hint": hint}:
                raise BakeError(message, hint=hint)
    return False


def server_command(settings: Settings) -> list[str]:
    """The command that serves: in a mount namespace of its own, with our settings and nothing else."""
    kept = {
        "DASK_BAKE_LOCAL_NAME": settings.name,
        "DASK_BAKE_LOCAL_ROOT": str(settings.root),
        "DASK_BAKE_LOCAL_PORT": str(settings.port),
        "AWS_EC2_METADATA_DISABLED": "true",
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "PATH": f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin",
    }
    if settings.block:
        kept["DASK_BAKE_LOCAL_BLOCK"] = str(settings.block)
    environment = [f"{key}={value}" for key, value in kept.items()]
    server = [sys.executable, "-m", "dask_bake.local.server"]
    return ["env", *environment, "unshare", "--mount", "--propagation", "slave", *server]
