"""The host's pip with the host's settings: it resolves requirements and downloads wheels."""

import errno
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dask_bake.environment.names import normalized_name
from dask_bake.environment.pip_lock import Package, requirement
from dask_bake.errors import BakeError
from dask_bake.events import Notify, Output
from dask_bake.models.debian import OLDEST, RUNNING_PYTHON, minor
from dask_bake.system.disk import explain_disk_errors
from dask_bake.system.files import sha256_of
from dask_bake.system.subprocesses import start, stop

TAIL = 8
QUIET = ("--no-input", "--disable-pip-version-check", "--progress-bar=off")
# For the default environment; the wheels are stored twice, in the cache and packed.
DISK_SPACE_NEEDED = 600 << 20

Run = Callable[[Sequence[str], Path, Notify], None]


@dataclass(frozen=True)
class Target:
    """The Python and the platform for which pip selects wheels.

    Args:
        platform: Linux's name for the processor architecture.
        glibc: the version of the image's C library.
    """

    python: str
    platform: str
    glibc: tuple[int, int] = OLDEST.glibc


def resolve(
    requirements: Sequence[str],
    target: Target,
    *,
    notify: Notify,
    constraints: Sequence[str] = (),
    pip: Run | None = None,
) -> tuple[Package, ...]:
    """Resolve the requirements under the constraints and return the packages.

    Raises:
        BakeError: if nothing satisfies the requirements, with pip's explanation.
    """
    _check_interpreter(target.python)
    with tempfile.TemporaryDirectory() as folder, explain_disk_errors(Path(folder), needed=DISK_SPACE_NEEDED):
        report = Path(folder, "report.json")
        limits = Path(folder, "constraints.txt")
        limits.write_text("".join(f"{constraint}\n" for constraint in constraints))
        arguments = ["install", "--dry-run", "--ignore-installed", f"--target={folder}", f"--report={report}"]
        wanted = [f"--constraint={limits}", *_options(target), *requirements]
        (pip or run_pip)([*arguments, *wanted], Path(folder), notify)
        return _packages(json.loads(report.read_text()))


def fetch(
    packages: Sequence[Package], target: Target, cache: Path, notify: Notify, *, pip: Run | None = None
) -> tuple[Path, ...]:
    """Return the locked wheels, verified, in their order; download those that are not cached."""
    with explain_disk_errors(cache, needed=DISK_SPACE_NEEDED):
        cache.mkdir(parents=True, exist_ok=True)
        missing = [package for package in packages if _cached(cache, package) is None]
        if missing:
            _download(missing, target, cache, notify, pip or run_pip)
    return tuple(_present(cache, package) for package in packages)


def run_pip(arguments: Sequence[str], folder: Path, notify: Notify) -> None:
    """Run pip with a folder for temporary files; raise its last lines if it fails."""
    if importlib.util.find_spec("pip") is None:
        raise BakeError(f"{sys.executable} has no pip", hint=f"{sys.executable} -m ensurepip")
    command = [sys.executable, "-m", "pip", *arguments, *QUIET]
    lines: list[str] = []
    with start(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        environ={**os.environ, "TMPDIR": str(folder)},
    ) as process:
        try:
            for line in process.stdout or ():
                lines.append(line.rstrip())
                notify(Output(line.rstrip()))
        except BaseException:
            stop(process)
            raise
    if process.returncode:
        raise _pip_error(arguments[0], lines)


def _pip_error(command: str, lines: list[str]) -> Exception:
    full = os.strerror(errno.ENOSPC)
    if any(full in line for line in lines):
        return OSError(errno.ENOSPC, full)
    return BakeError(
        "\n".join([f"pip {command} failed:", *(f"  {line}" for line in lines[-TAIL:])]),
        hint="pip's own settings are used: see pip config list, and whether its index answers",
    )


def _check_interpreter(python_version: str) -> None:
    """Raise if pip's own Python is another: pip evaluates environment markers for that one."""
    if minor(python_version) != RUNNING_PYTHON:
        raise BakeError(
            f"a lock for Python {python_version} cannot be made by Python {RUNNING_PYTHON}",
            hint="run dask-bake lock with the minor version of Python that the image has",
        )


def _options(target: Target) -> list[str]:
    """Return the options that select wheels for the image: each manylinux that its glibc supports."""
    platform = target.platform
    names = [
        *(f"manylinux_2_{minor}_{platform}" for minor in range(target.glibc[1], 16, -1)),
        f"manylinux2014_{platform}",
    ]
    return [
        "--only-binary=:all:",
        f"--python-version={target.python}",
        "--implementation=cp",
        *(f"--platform={name}" for name in names),
    ]


def _packages(
    report: dict[str, list[dict[str, dict[str, dict[str, dict[str, str]]]]]],
) -> tuple[Package, ...]:
    for item in report["install"]:
        if item.get("is_direct"):
            name = item["metadata"]["name"]
            raise BakeError(f"{name} is not from an index", hint="put a wheel of it into pip's index")
    found = [
        Package(
            normalized_name(str(item["metadata"]["name"])),
            str(item["metadata"]["version"]),
            item["download_info"]["archive_info"]["hashes"]["sha256"],
        )
        for item in report["install"]
    ]
    return tuple(sorted(found, key=lambda package: package.name))


def _download(packages: list[Package], target: Target, cache: Path, notify: Notify, pip: Run) -> None:
    with tempfile.TemporaryDirectory(dir=cache, prefix="download-") as folder:
        requirements = Path(folder, "requirements.txt")
        requirements.write_text("".join(f"{requirement(package)}\n" for package in packages))
        arguments = [
            "download",
            "--no-deps",
            "--require-hashes",
            f"--requirement={requirements}",
            f"--dest={folder}",
        ]
        pip([*arguments, *_options(target)], Path(folder), notify)
        for wheel in Path(folder).glob("*.whl"):
            home = cache / sha256_of(wheel)
            home.mkdir(exist_ok=True)
            wheel.replace(home / wheel.name)


def _cached(cache: Path, package: Package) -> Path | None:
    """Return the wheel from the cache, or ``None``; remove a damaged one."""
    for wheel in (cache / package.sha256).glob("*.whl"):
        if sha256_of(wheel) == package.sha256:
            return wheel
        wheel.unlink()
    return None


def _present(cache: Path, package: Package) -> Path:
    wheel = next((cache / package.sha256).glob("*.whl"), None)
    if wheel is None:
        raise BakeError(
            f"pip did not download {package.name} {package.version} with the locked hash",
            hint="its index has changed, or the lock: dask-bake lock makes a new one",
        )
    return wheel
