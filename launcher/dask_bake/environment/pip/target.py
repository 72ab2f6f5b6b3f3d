"""The Python and the platform of an image, and the wheels that fit it."""

import platform
from dataclasses import dataclass
from functools import lru_cache

from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from dask_bake.environment.pip_lock import Interpreter
from dask_bake.models.debian import OLDEST, RUNNING_PYTHON, minor

OLD_NAMES = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
"""Names of manylinux platforms by the minor version of glibc (PEP 600)."""
UV_NEWEST_GLIBC = 40
"""The newest glibc that uv has a platform for."""


@dataclass(frozen=True)
class Target:
    """The Python and the platform that packages are selected for.

    Args:
        platform: Linux's name for the processor architecture.
        glibc: the version of the image's C library.
        interpreter: the build of Python that the image gets, if it is not the base image's own.
    """

    python: str
    platform: str
    glibc: tuple[int, int] = OLDEST.glibc
    interpreter: Interpreter | None = None

    @property
    def uv_platform(self) -> str:
        """Return the platform's name for uv."""
        return f"{self.platform}-manylinux_2_{min(self.glibc[1], UV_NEWEST_GLIBC)}"

    @property
    def platforms(self) -> list[str]:
        """Return the names of the wheels' platforms, best first."""
        names = []
        for version in range(self.glibc[1], 4, -1):
            names.append(f"manylinux_2_{version}_{self.platform}")
            if version in OLD_NAMES:
                names.append(f"{OLD_NAMES[version]}_{self.platform}")
        return names

    @property
    def builds_run(self) -> bool:
        """Return whether compiled code that is built on this machine runs on the target."""
        name, version = platform.libc_ver()
        is_older = name == "glibc" and tuple(map(int, version.split(".")[:2])) <= self.glibc
        has_python = self.interpreter is not None or minor(self.python) == RUNNING_PYTHON
        return (
            has_python and platform.machine() == self.platform and platform.system() == "Linux" and is_older
        )

    def rank(self, wheel: str) -> int | None:
        """Return how well a wheel fits, by its file name: 0 is best; ``None`` if it does not."""
        try:
            tags = parse_wheel_filename(wheel)[3]
        except InvalidWheelFilename:
            return None
        ranks = _ranks(self)
        return min((ranks[tag] for tag in tags if tag in ranks), default=None)

    def fits_when_built(self, wheel: str) -> bool:
        """Return whether a wheel that was built on this machine fits."""
        return self.rank(wheel) is not None or (
            wheel.endswith("-linux_" + self.platform + ".whl") and self.builds_run
        )


@lru_cache(maxsize=8)
def _ranks(target: Target) -> dict[Tag, int]:
    version = tuple(map(int, minor(target.python).split(".")))
    interpreter = f"cp{version[0]}{version[1]}"
    tags = [
        *cpython_tags(version, platforms=target.platforms),
        *compatible_tags(version, interpreter, platforms=target.platforms),
    ]
    return {tag: rank for rank, tag in enumerate(tags)}


def version_of(wheel: str) -> str:
    """Return the version in a wheel's file name."""
    return str(parse_wheel_filename(wheel)[1])
