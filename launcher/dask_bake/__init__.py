"""A Dask cluster on EC2 from an image that was baked beforehand."""

__version__ = "0.1.0"
