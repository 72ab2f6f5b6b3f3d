"""Packages that tasks install: in a prefix of the user dask, who cannot write to /opt/dask.

Only scheduler and workers look there: programs of root and of the login user never import what a task has
installed.
"""

import os
import sys
from collections.abc import MutableMapping

PREFIX = "/var/lib/dask/packages"
VERSION = f"python{sys.version_info.major}.{sys.version_info.minor}"
PIP_TARGETS = ("PIP_PREFIX", "PIP_TARGET", "PIP_USER", "PIP_ROOT")


def use_packages(environ: MutableMapping[str, str], path: list[str], prefix: str = PREFIX) -> None:
    """Make this process and its children import from the prefix, and pip install to it.

    pip keeps what is in /opt/dask: what is there counts as installed. A launch may set a target of its own.
    """
    folder = os.path.join(prefix, "lib", VERSION, "site-packages")
    try:
        # Before the first import: Python remembers that a folder was missing.
        os.makedirs(folder, exist_ok=True)
    except OSError:
        return  # a full disk, for example, is no reason not to work
    if not any(target in environ for target in PIP_TARGETS):
        environ["PIP_PREFIX"] = prefix
    environ["PYTHONPATH"] = os.pathsep.join(filter(None, [environ.get("PYTHONPATH"), folder]))
    if folder not in path:
        path.insert(1, folder)
