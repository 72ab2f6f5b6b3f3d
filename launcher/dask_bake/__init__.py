"""Dask clusters on EC2, started from an image that is baked once."""

__version__ = "0.1.0"
