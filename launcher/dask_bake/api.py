"""The public names by their former address, ``dask_bake.api``."""

from dask_bake import BakeCluster, connect, down, launch

__all__ = ["BakeCluster", "connect", "down", "launch"]
