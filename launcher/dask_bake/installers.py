"""How packages get into an image: a seam, at which pip stands alone for now."""

import tarfile
from pathlib import Path
from typing import Protocol

from dask_bake.disk import room_in
from dask_bake.errors import BakeError
from dask_bake.events import Notify
from dask_bake.lock import Lock, check_lock, parse_lock
from dask_bake.recipe import add_file
from dask_bake.wheels import fetch


class Installer(Protocol):
    """Brings everything that a script in the image needs to install the environment without a network."""

    @property
    def name(self) -> str:
        """The word for it in tags and manifest."""

    @property
    def lock(self) -> Lock:
        """Exactly what will be installed."""

    @property
    def files(self) -> tuple[str, ...]:
        """What of the packer folder decides what is installed."""

    def bring(self, payload: Path, notify: Notify) -> int:
        """The number of bytes of packages that are in the payload now."""


class PipInstaller:
    """Wheels by pip.lock, packed in payload/wheels.tar."""

    name = "pip"
    files = ("environment.yml", "pip.lock")

    def __init__(self, source: Path, cache: Path) -> None:
        try:
            self.lock = parse_lock((source / "pip.lock").read_text())
            check_lock(self.lock, (source / "environment.yml").read_bytes())
        except FileNotFoundError as error:
            raise BakeError(f"{error.filename} is missing", hint="run dask-bake lock") from error
        self._cache = cache

    def bring(self, payload: Path, notify: Notify) -> int:
        """The wheels' size, once they are all in wheels.tar."""
        wheels = fetch(self.lock, self._cache, notify)
        size = sum(wheel.stat().st_size for wheel in wheels)
        with room_in(payload, needed=size), tarfile.open(payload / "wheels.tar", "w") as archive:
            for wheel in wheels:
                add_file(archive, wheel, wheel.name)
        return size
