"""``python -m dask_bake`` is ``dask-bake``."""

from dask_bake.cli import main

if __name__ == "__main__":
    main()
