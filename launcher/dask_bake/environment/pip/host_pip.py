"""This machine's pip and uv, run with the user's settings of pip."""

import errno
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from dask_bake.environment.names import normalized_name, without_secrets
from dask_bake.environment.pip.settings import PipSettings, read_settings
from dask_bake.environment.pip.target import Target
from dask_bake.environment.pip_lock import Package
from dask_bake.errors import BakeError
from dask_bake.events import Notify, Output
from dask_bake.models.debian import RUNNING_PYTHON, minor
from dask_bake.system.subprocesses import start, stop

TAIL = 8
QUIET = ("--no-input", "--disable-pip-version-check", "--progress-bar=off")
BUILD_EPOCH = "1577836800"
"""The time that files in wheels get which are built here, so that they are the same when built again."""

WIDTH = "10000"
"""Columns at which uv wraps its errors, which are parsed."""

Run = Callable[[Sequence[str], Path, Notify], None]


def run_pip(
    arguments: Sequence[str],
    folder: Path,
    notify: Notify,
    *,
    within: Path | None = None,
    python: str = sys.executable,
) -> None:
    """Run pip with a folder for temporary files; raise its last lines if it fails.

    Args:
        python: the Python that pip runs in.
    """
    pip = pip_command(python)
    if pip is None:
        raise BakeError(f"{sys.executable} has no pip", hint=f"{sys.executable} -m ensurepip")
    environ = user_settings().for_pip(os.environ)
    environ = {"SOURCE_DATE_EPOCH": BUILD_EPOCH, **environ, "TMPDIR": str(folder)}
    code, lines = run_lines([*pip, *arguments, *QUIET], environ, notify, within=within)
    if code:
        raise _pip_error(arguments[0], lines)


def pip_command(python: str = sys.executable) -> list[str] | None:
    """Return the command of this Python's pip, or of one that uv brings; ``None`` without both."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip", *([f"--python={python}"] if python != sys.executable else [])]
    uv = find_uv()
    if uv is None:
        return None
    return [
        uv,
        "run",
        "--no-project",
        "--isolated",
        "--with=pip",
        f"--python={python}",
        "python",
        "-m",
        "pip",
    ]


def user_settings() -> PipSettings:
    """Return the user's settings of pip, which are read once in each environment: that takes a second."""
    return _settings(frozenset(os.environ.items()))


@lru_cache(maxsize=8)
def _settings(environ: frozenset[tuple[str, str]]) -> PipSettings:
    has_pip = importlib.util.find_spec("pip") is not None
    return read_settings([sys.executable, "-m", "pip"] if has_pip else None, dict(environ))


def find_uv() -> str | None:
    """Return the path of uv: the one that dask-bake requires, else the one in PATH."""
    try:
        from uv import find_uv_bin

        return str(find_uv_bin())
    except (ImportError, FileNotFoundError):
        return shutil.which("uv")


def run_lines(
    command: Sequence[str],
    environ: Mapping[str, str],
    notify: Notify,
    *,
    within: Path | None = None,
    text: str = "",
    output: Path | None = None,
) -> tuple[int, list[str]]:
    """Run a program with an input and return its exit code and its lines, which are shown as they come.

    With ``output`` the lines are those of the standard error, and the file gets the standard output.
    """
    lines: list[str] = []
    environ = {**environ, "COLUMNS": WIDTH}
    with tempfile.TemporaryFile() as given, open(output or os.devnull, "wb") as out:  # noqa: PTH123
        given.write(text.encode())
        given.seek(0)
        stdout, stderr = (out, subprocess.PIPE) if output else (subprocess.PIPE, subprocess.STDOUT)
        with start(
            command, stdin=given, stdout=stdout, stderr=stderr, environ=environ, folder=within
        ) as process:
            try:
                for line in (process.stderr if output else process.stdout) or ():
                    lines.append(without_secrets(line.rstrip()))
                    notify(Output(lines[-1]))
            except BaseException:
                stop(process)
                raise
    return process.returncode, lines


def resolve_with_pip(
    requirements: str,
    target: Target,
    folder: Path,
    notify: Notify,
    constraints: Path,
    *,
    pip: Run | None = None,
) -> tuple[Package, ...]:
    """Resolve the text of a requirements file by pip, and return the packages.

    Raises:
        BakeError: if nothing satisfies the requirements, with pip's explanation.
    """
    _check_interpreter(target.python)
    with tempfile.TemporaryDirectory() as name:
        report, file = Path(name, "report.json"), Path(name, "requirements.txt")
        file.write_text(requirements)
        arguments = ["install", "--dry-run", "--ignore-installed", f"--target={name}", f"--report={report}"]
        wanted = [*options(target), f"--constraint={constraints}", f"--requirement={file}"]
        if pip is not None:
            pip([*arguments, *wanted], Path(name), notify)
        else:
            run_pip([*arguments, *wanted], Path(name), notify, within=folder)
        return _packages(json.loads(report.read_text()))


def options(target: Target) -> list[str]:
    """Return pip's options that select wheels for the image."""
    # Of manylinux2014 pip knows the older names.
    return [
        "--only-binary=:all:",
        f"--python-version={target.python}",
        "--implementation=cp",
        *(
            f"--platform=manylinux_2_{version}_{target.platform}"
            for version in range(target.glibc[1], 16, -1)
        ),
        f"--platform=manylinux2014_{target.platform}",
    ]


def build_with_uv(project: Path, place: Path, notify: Notify, *, python: str = sys.executable) -> None:
    """Build the wheel of a project's folder into a place; uv does it several times faster than pip."""
    settings = user_settings()
    environ = {"SOURCE_DATE_EPOCH": BUILD_EPOCH, **settings.for_uv(os.environ)}
    options = ["--wheel", f"--out-dir={place}", f"--python={python}", *settings.uv_flags]
    quiet = ("--no-progress", "--color=never")
    code, lines = run_lines([find_uv() or "uv", "build", *options, *quiet, str(project)], environ, notify)
    if code:
        tail = (f"  {line}" for line in lines[-TAIL:])
        raise full_disk(lines) or BakeError("\n".join(["uv build failed:", *tail]))


def full_disk(lines: Sequence[str]) -> OSError | None:
    """Return the error of a full disk, if the lines tell of one."""
    full = os.strerror(errno.ENOSPC)
    return OSError(errno.ENOSPC, full) if any(full in line for line in lines) else None


def _pip_error(command: str, lines: list[str]) -> Exception:
    return full_disk(lines) or BakeError(
        "\n".join([f"pip {command} failed:", *(f"  {line}" for line in lines[-TAIL:])]),
        hint="pip's own settings are used: see pip config list, and whether its index answers",
    )


def _check_interpreter(python_version: str) -> None:
    """Raise if pip's own Python is another: pip evaluates environment markers for that one."""
    if minor(python_version) != RUNNING_PYTHON:
        raise BakeError(
            f"a lock for Python {python_version} cannot be made by pip in Python {RUNNING_PYTHON}",
            hint="install uv, or run dask-bake lock with the minor version of Python that the image has",
        )


def _packages(
    report: dict[str, list[dict[str, dict[str, dict[str, dict[str, str]]]]]],
) -> tuple[Package, ...]:
    for item in report["install"]:
        if item.get("is_direct"):
            name = item["metadata"]["name"]
            raise BakeError(f"{name} is not from an index", hint="install uv, which resolves it too")
    return tuple(
        Package(
            normalized_name(str(item["metadata"]["name"])),
            str(item["metadata"]["version"]),
            item["download_info"]["archive_info"].get("hashes", {}).get("sha256", ""),
        )
        for item in report["install"]
    )
