"""Environments with pip's packages: resolved by uv, built and downloaded by pip, verified by hashes.

Open ``resolve`` first: it returns the packages that requirements give on a target.
``DASK_BAKE_RESOLVER=pip``, or the lack of uv, has pip resolve instead of uv.

- ``uv`` runs ``uv pip compile`` for any Python and platform, and explains its errors. ``host_pip`` runs this
  Python's pip, for resolving as well.
- ``settings`` reads the user's settings of pip. They say where packages come from (indexes, proxies,
  certificates), for both programs; settings that say how pip installs are left out.
- ``target`` is the Python and the platform of an image, with the wheels that fit it.
- ``requirement_files`` reads what a lock depends on besides environment.yml: ``-r FILE``, options for the
  index, and the content of folders.
- ``build`` makes wheels of what has none: folders, git repositories, source archives.
- ``interpreter`` has uv download a Python that the base image lacks.
- ``download`` fetches locked wheels into a cache, in folders named by their hashes.
"""
