"""Dask clusters on EC2, started from an image that is baked once.

``BakeCluster``, ``connect``, ``launch`` and ``down`` are loaded when they are used.
"""

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dask_bake.client.cluster import BakeCluster
    from dask_bake.client.connect import connect
    from dask_bake.client.lifecycle import down, launch

__version__ = "0.1.0"
__all__ = ["BakeCluster", "connect", "down", "launch"]

MODULES = {"BakeCluster": "cluster", "connect": "connect", "down": "lifecycle", "launch": "lifecycle"}
"""The modules of ``client`` that define the public names."""


def __getattr__(name: str) -> Any:
    if name not in MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module
    from importlib.util import find_spec

    client = f"{__name__}.client"
    module = MODULES[name] if find_spec(f"{client}.connect") else "node"  # all that an image has
    value = getattr(import_module(f"{client}.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Package(ModuleType):
    """This package, whose ``launch`` is the function also when the package of that name was imported."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in MODULES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
