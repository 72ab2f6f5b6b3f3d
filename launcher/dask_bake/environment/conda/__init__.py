"""Environments with conda packages: solved, locked and downloaded by rattler.

Open ``lock`` first: ``CondaLocking`` locks an environment and makes its installer. If the environment has a
pip part, pip resolves it under the versions that conda has selected, so that it cannot change conda's
packages; conda.pip.lock has what pip adds, and the hash of the conda.lock that it belongs to.

- ``solve`` solves specs, and reads and writes conda.lock in pixi's format. The virtual packages are those of
  the oldest supported Debian release, so that a lock is valid for every base image.
- ``channels`` makes rattler's client and translates its errors. It also checks whether the channels respond,
  by which ``--installer auto`` selects conda or pip.
- ``condarc`` reads conda's own settings. A user who has configured channels, mirrors, proxies or certificates
  for conda does not configure them again for dask-bake.
- ``download`` downloads the archives into a cache, in folders named by their hashes, and verifies each one.
  A download has no overall time limit: it fails if nothing arrives for a while.

rattler is imported in this package and nowhere else in the launcher.
"""
