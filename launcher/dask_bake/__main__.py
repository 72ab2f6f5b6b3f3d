"""``python -m dask_bake`` is ``dask-bake``."""

from dask_bake.cli.main import main

if __name__ == "__main__":
    main()
