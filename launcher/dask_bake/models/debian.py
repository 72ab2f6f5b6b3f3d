"""The Debian releases that images are baked from, with their Python, C library and kernel."""

import re
import sys
from dataclasses import dataclass

from dask_bake.models.cloud import Architecture


@dataclass(frozen=True)
class DebianRelease:
    """A release of Debian.

    Args:
        number: the major version, as in the names of Debian's images.
        codename: the suite of its package archive.
        python: the version of its ``python3``, which runs an environment that pip installs.
        glibc: the version of its C library, which decides the manylinux wheels that it runs (PEP 600).
        kernel: the version of its kernel.
    """

    number: int
    codename: str
    python: str
    glibc: tuple[int, int]
    kernel: str

    @property
    def name(self) -> str:
        """Its name for ``--base``: ``debian-13``."""
        return f"debian-{self.number}"

    @property
    def python_minor(self) -> str:
        """The minor version of its Python: ``3.13``."""
        return minor(self.python)

    def image_names(self, architecture: Architecture) -> str:
        """Return the pattern of the names of Debian's images for EC2."""
        return f"{self.name}-{architecture.debian}-*"

    def __str__(self) -> str:
        return f"Debian {self.number}"


BOOKWORM = DebianRelease(12, "bookworm", "3.11.2", (2, 36), "6.1")
TRIXIE = DebianRelease(13, "trixie", "3.13.5", (2, 41), "6.12")
RELEASES = (BOOKWORM, TRIXIE)
OLDEST, NEWEST = RELEASES[0], RELEASES[-1]
RUNNING_PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
"""The minor version of the Python that dask-bake runs in."""


def minor(python: str) -> str:
    """Return the minor version of a Python: ``3.11`` of ``3.11.2``."""
    return ".".join(python.split(".")[:2])


def release_named(name: str) -> DebianRelease | None:
    """Return the release of that name, as ``--base`` takes it; ``None`` for another word."""
    return next((release for release in RELEASES if release.name == name), None)


def release_with(python: str) -> DebianRelease | None:
    """Return the release whose Python has that minor version, if there is one."""
    return next((release for release in RELEASES if release.python_minor == minor(python)), None)


def release_of_image(name: str) -> DebianRelease | None:
    """Return the release of one of Debian's images, by the image's name."""
    match = re.match(r"debian-\d+(?=-)", name)
    return release_named(match[0]) if match else None
