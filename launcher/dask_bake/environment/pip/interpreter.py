"""Pythons that the base image lacks: uv's builds, kept as archives in the cache by their hashes.

uv downloads and verifies an archive, from where the user's settings of uv say (``UV_PYTHON_INSTALL_MIRROR``,
``UV_PYTHON_DOWNLOADS_JSON_URL``). The image gets the archive and not what uv unpacks here, as uv writes paths
of this machine into that.
"""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from dask_bake.environment.names import without_secrets
from dask_bake.environment.pip.host_pip import find_uv, full_disk, run_lines, user_settings
from dask_bake.environment.pip_lock import Interpreter
from dask_bake.environment.proxies import proxy_of
from dask_bake.errors import BakeError, UsageError
from dask_bake.events import Notify
from dask_bake.models.debian import minor
from dask_bake.system.disk import explain_disk_errors
from dask_bake.system.files import sha256_of

DISK_SPACE_NEEDED = 300 << 20
"""For the archive, and for what uv unpacks of it."""
MIRROR_HINT = "UV_PYTHON_INSTALL_MIRROR can name a mirror of uv's builds"
RELEASE = re.compile(r"\d+(\.\d+){2}")
SUFFIX = ".tar.gz"
INSTALLED = "installed"
"""The folder in the cache where uv unpacks what it downloads."""
FAILED_URL = re.compile(r"error sending request for url \((?P<url>[^)\s]+)\)")


@dataclass(frozen=True)
class PythonBuild:
    """A build of CPython that uv can download, by uv's name of it."""

    name: str
    version: str


def available_builds(machine: str, folder: Path, notify: Notify) -> tuple[PythonBuild, ...]:
    """Return the builds of released versions for Linux on that processor architecture.

    Args:
        folder: where uv looks for its settings.

    Raises:
        BakeError: if uv has no list of them, with its reason.
    """
    with tempfile.TemporaryDirectory() as place:
        output = Path(place, "builds.json")
        words = ("list", f"cpython-3-linux-{machine}-gnu", "--all-versions", "--only-downloads")
        _run_uv([*words, "--output-format=json"], folder, notify, output=output)
        listed = json.loads(output.read_text(encoding="utf-8") or "[]")
    return tuple(
        PythonBuild(each["key"], each["version"])
        for each in listed
        if RELEASE.fullmatch(each["version"]) and urlsplit(each["url"] or "").path.endswith(SUFFIX)
    )


def download(name: str, cache: Path, folder: Path, notify: Notify) -> Interpreter:
    """Download the build of that name to the cache, and return it with its hash.

    Raises:
        BakeError: if uv cannot download it, with its reason.
    """
    with explain_disk_errors(cache, needed=DISK_SPACE_NEEDED):
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix="download-") as archives:
            words = ("install", name, f"--install-dir={cache / INSTALLED}", "--no-bin", "--reinstall")
            _run_uv(words, folder, notify, archives=archives)
            archive = next(Path(archives).glob(f"*{SUFFIX}"), None)
            if archive is None:
                raise BakeError(f"uv kept no archive of {name}", hint="update uv")
            found = Interpreter(name, sha256_of(archive))
            archive.replace(_cached(cache, found))
    return found


def bring(interpreter: Interpreter, cache: Path, folder: Path, destination: Path, notify: Notify) -> int:
    """Copy the locked archive to a destination, downloaded if the cache lacks it; return its size.

    Raises:
        UsageError: if it cannot be downloaded, or has changed since it was locked.
    """
    archive = _cached(cache, interpreter)
    if not archive.exists() or sha256_of(archive) != interpreter.sha256:
        try:
            found = download(interpreter.name, cache, folder, notify)
        except BakeError as error:
            raise UsageError(
                f"{interpreter.name} of pip.lock is not in the cache, and {error.message}",
                hint=error.hint or f"{MIRROR_HINT}; dask-bake lock looks for another build",
            ) from error
        if found != interpreter:
            raise UsageError(
                f"{interpreter.name} has changed since it was locked: its SHA-256 is {found.sha256}",
                hint="dask-bake lock locks this one",
            )
    with explain_disk_errors(destination.parent, needed=archive.stat().st_size):
        shutil.copyfile(archive, destination)
    return destination.stat().st_size


def program(interpreter: Interpreter, cache: Path, folder: Path, notify: Notify) -> Path:
    """Return the path of that Python as uv unpacked it here, with which wheels are built.

    Raises:
        BakeError: if it has to be downloaded, and cannot be.
    """
    path = cache / INSTALLED / interpreter.name / "bin" / f"python{minor(interpreter.version)}"
    if not path.exists():
        download(interpreter.name, cache, folder, notify)
    return path


def _cached(cache: Path, interpreter: Interpreter) -> Path:
    return cache / f"{interpreter.sha256}{SUFFIX}"


def _run_uv(
    words: Sequence[str],
    folder: Path,
    notify: Notify,
    *,
    output: Path | None = None,
    archives: str = "",
) -> None:
    """Run ``uv python`` with the user's settings, or raise its reason."""
    uv = find_uv()
    if uv is None:
        raise BakeError("there is no uv on this machine", hint="pip install uv")
    environ = user_settings().for_uv(os.environ)
    if archives:
        environ = {**environ, "UV_PYTHON_CACHE_DIR": archives}
    code, lines = run_lines(
        [uv, "python", *words, "--color=never"], environ, notify, within=folder, output=output
    )
    if code:
        raise full_disk(lines) or BakeError(_reason(lines))


def _reason(lines: Sequence[str]) -> str:
    """Return why uv failed, as the end of a sentence."""
    text = "\n".join(lines)
    if "Hash mismatch" in text:
        return "the archive does not have the SHA-256 that uv knows"
    if "offline Python installation" in text:
        return "UV_OFFLINE keeps uv from downloading it"
    last = next((line for line in reversed(lines) if line.strip()), "uv ended without a reason")
    why = re.sub(r"^(error|cause): | \(os error \d+\)$", "", last.strip())
    if unreachable := FAILED_URL.search(text):
        place = without_secrets(unreachable["url"])
        return f"{urlsplit(place).hostname} does not answer{proxy_of(place, os.environ)}: {why}"
    return f"uv cannot download it: {why}"
