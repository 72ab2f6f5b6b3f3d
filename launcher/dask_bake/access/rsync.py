"""Copies by rsync, where both sides have it: it continues what broke, and sends differences only."""

import re
import shlex
from collections.abc import Sequence
from pathlib import Path

from dask_bake.access.locations import Copy
from dask_bake.errors import BakeError
from dask_bake.ssh.command import Host, run_there, ssh_command
from dask_bake.system.subprocesses import run_with_timeout

VERSION = re.compile(r"rsync +version v?(\d+)\.(\d+)")
OLDEST = (3, 1)
"""The first version with the options below; macOS's own is another program."""
PROBE_TIMEOUT = 20.0
PARTIAL = ".dask-bake-part"
"""The folder in which rsync keeps a file that has not arrived whole, beside its place."""
PROGRESS = re.compile(r"\s*([\d,.]+)\s+(\d+)%\s")
FILES = re.compile(r"Number of regular files transferred: ([\d,.]+)")
BYTES = re.compile(r"Total transferred file size: ([\d,.]+)")
NOISE = re.compile(r"rsync error: |rsync: connection unexpectedly closed|^\s*$")
LABEL = re.compile(r"^rsync: (?:\[\w+\] )?")


def is_usable(host: Host) -> bool:
    """Return whether this machine and the node have an rsync that can be used."""
    try:
        here = run_with_timeout(["rsync", "--version"], PROBE_TIMEOUT)
    except FileNotFoundError:
        return False
    return _is_new(here.stdout) and _is_new(run_there(host, ["rsync", "--version"], PROBE_TIMEOUT).stdout)


def _is_new(text: str) -> bool:
    match = VERSION.match(text)
    return match is not None and (int(match[1]), int(match[2])) >= OLDEST


def write_shell(host: Host, folder: Path) -> Path:
    """Write the program by which rsync connects: a file, as its ``-e`` cannot quote ssh's options."""
    script = folder / "ssh"
    words = shlex.join(ssh_command(host, options=("-T",)))
    script.write_text(f'shift\nexec {words} "$@"\n')
    return script


def rsync_command(copy: Copy, script: Path) -> list[str]:
    """Return the command that copies it; globs of paths on the node are its rsync's to expand."""
    sources = [local(path) if copy.is_upload else f"node:{path}" for path in copy.sources]
    target = f"node:{copy.target}" if copy.is_upload else local(copy.target)
    return [
        *("rsync", "--recursive", "--links", "--perms", "--times", "--protect-args"),
        *("--partial-dir", PARTIAL, "--info=progress2", "--no-inc-recursive", "--stats"),
        *("-e", f'sh "{script}"', "--", *sources, target),
    ]


def local(path: str) -> str:
    """Return a path of this machine that rsync does not read as one of another machine, or as an option."""
    return path if path.startswith("/") else f"./{path}"


def progress(line: str) -> tuple[int, int] | None:
    """Return the bytes and the percentage that a line of rsync's reports."""
    match = PROGRESS.match(line)
    return (_number(match[1]), int(match[2])) if match else None


def totals(lines: Sequence[str]) -> tuple[int, int]:
    """Return the number of files that were copied, and of their bytes."""
    text = "\n".join(lines)
    files, size = FILES.search(text), BYTES.search(text)
    return _number(files[1]) if files else 0, _number(size[1]) if size else 0


def failure(complaints: Sequence[str], code: int) -> BakeError:
    """Return the error of rsync's that ended with this code."""
    lines = [LABEL.sub("", line.strip()) for line in complaints if not NOISE.search(line)]
    return BakeError(lines[0] if lines else f"rsync ended with {code}")


def _number(text: str) -> int:
    return int(re.sub(r"[,.]", "", text))
