"""Wheels of what has none: folders, git repositories and source archives, built on this machine."""

import re
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from dask_bake.environment.names import normalized_name, without_secrets
from dask_bake.environment.pip.host_pip import Run, build_with_uv, find_uv, options, run_pip
from dask_bake.environment.pip.interpreter import program
from dask_bake.environment.pip.requirement_files import index_options, with_secrets
from dask_bake.environment.pip.target import Target, version_of
from dask_bake.environment.pip_lock import Package
from dask_bake.errors import BakeError
from dask_bake.events import Notify
from dask_bake.system.files import sha256_of

PINNED = re.compile(r"(?P<name>[\w.-]+)==\S+")


@dataclass(frozen=True)
class Workshop:
    """The folders and settings with which wheels are built.

    Args:
        cache: the wheels, in folders named by their hashes.
        folder: the folder that paths of sources are relative to.
        lines: the environment's requirements, for their options and credentials.
    """

    cache: Path
    folder: Path
    lines: tuple[str, ...] = ()
    pip: Run | None = None

    @property
    def index(self) -> list[str]:
        """Return the lines that say which index is used."""
        return index_options(self.lines, self.folder)

    def make(self, name: str, source: str, target: Target, notify: Notify) -> Package:
        """Build, or download, the wheel of a source, and return it as a package of the cache.

        Raises:
            BakeError: if it cannot be built, or does not run on the target.
        """
        self.cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.cache, prefix="build-") as place:
            self._run(source, target, Path(place), notify)
            wheels = list(Path(place).glob("*.whl"))
            if len(wheels) != 1:
                raise BakeError(f"building {name} gave no wheel", hint="pip wheel --no-deps shows why")
            wheel = wheels[0]
            if not target.fits_when_built(wheel.name):
                raise BakeError(
                    f"the wheel of {name} that was built here does not run on the image: {wheel.name}",
                    hint=f"build it for Python {target.python} on {target.platform}, and put it in an index",
                )
            package = Package(normalized_name(name), version_of(wheel.name), sha256_of(wheel))
            home = self.cache / package.sha256
            home.mkdir(exist_ok=True)
            wheel.replace(home / wheel.name)
            return package

    def _run(self, source: str, target: Target, place: Path, notify: Notify) -> None:
        """Have pip make the wheel of a requirement, a URL or a path."""
        requirements = place / "requirements.txt"
        is_path = source.startswith((".", "/"))
        # pip takes a repository's URL with fewer rules when it has no name before it.
        url = with_secrets(source.rpartition(" @ ")[2], self.lines)
        wanted = str(self.folder / source) if is_path else url
        requirements.write_text("".join(f"{line}\n" for line in (*self.index, wanted)))
        tail = ["--no-deps", f"--requirement={requirements}"]
        if pinned := PINNED.fullmatch(source):
            command = ["wheel", f"--wheel-dir={place}", f"--no-binary={pinned['name']}", *tail]
        elif source.endswith(".whl"):
            command = ["download", f"--dest={place}", *options(target), *tail]
        else:
            command = ["wheel", f"--wheel-dir={place}", *tail]
        python = sys.executable
        if target.interpreter is not None and target.builds_run:
            pythons = self.cache.with_name("pythons")
            python = str(program(target.interpreter, pythons, self.folder, notify))
        try:
            if self.pip is not None:
                self.pip(command, place, notify)
            elif is_path and Path(wanted).is_dir() and find_uv():
                build_with_uv(Path(wanted), place, notify, python=python)
            else:
                run_pip(command, place, notify, within=self.folder, python=python)
        except BakeError as error:
            why = error.message.split("\n")
            raise BakeError(
                "\n".join([f"no wheel can be made of {without_secrets(source)}:", *why[1:]]),
                hint="it is built on this machine, as by pip install; --installer conda if conda has it",
            ) from error

    def hash_of(self, package: Package, target: Target, notify: Notify) -> Package:
        """Download a wheel that the index has no SHA-256 of, and return it with the hash."""
        self.cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.cache, prefix="download-") as place:
            requirements = Path(place, "requirements.txt")
            pinned = f"{package.name}=={package.version}"
            requirements.write_text("".join(f"{line}\n" for line in (*self.index, pinned)))
            command = [
                "download",
                "--no-deps",
                f"--dest={place}",
                *options(target),
                f"--requirement={requirements}",
            ]
            (self.pip or run_pip)(command, Path(place), notify)
            wheel = next(Path(place).glob("*.whl"))
            found = Package(package.name, package.version, sha256_of(wheel))
            home = self.cache / found.sha256
            home.mkdir(exist_ok=True)
            wheel.replace(home / wheel.name)
            return found
