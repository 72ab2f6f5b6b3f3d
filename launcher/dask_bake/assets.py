"""The folders ``packer/`` and ``userdata/``: beside the package in a wheel, at the top of a checkout."""

from importlib.resources import files
from pathlib import Path


def packer_directory() -> Path:
    """Return the folder with the Packer template, its scripts and the image's root file system."""
    return _root() / "packer"


def userdata_directory() -> Path:
    """Return the folder with the user-data templates."""
    return _root() / "userdata"


def package_directory() -> Path:
    """Return the folder of dask-bake's own modules."""
    return Path(str(files("dask_bake")))


def is_installed() -> bool:
    """Return whether the folders are part of an installed package, not of a checkout."""
    return _root() == package_directory()


def _root() -> Path:
    package = package_directory()
    return package if (package / "packer").is_dir() else package.parents[1]
