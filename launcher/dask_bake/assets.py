"""Where ``packer/`` and ``userdata/`` are: beside the package in a wheel, at the top of a checkout."""

from importlib.resources import files
from pathlib import Path


def packer_directory() -> Path:
    """The folder with the Packer template, its scripts and the image's root file system."""
    return _root() / "packer"


def userdata_directory() -> Path:
    """The folder with the user-data templates."""
    return _root() / "userdata"


def is_installed() -> bool:
    """True where the folders are part of an installed package, and not a checkout's to be worked on."""
    return _root() == Path(str(files("dask_bake")))


def _root() -> Path:
    package = Path(str(files("dask_bake")))
    return package if (package / "packer").is_dir() else package.parents[1]
