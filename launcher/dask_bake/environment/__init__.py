"""The software environment of an image: read, locked and downloaded.

Open ``resolve`` first: ``prepare`` returns the installer of an environment, with its lock. The steps are:

- ``options`` has the user's options, and ``spec`` parses environment.yml. ``current`` writes one for the
  running Python (``--from-env``), ``foreign`` for the files of other tools. ``request`` combines them with
  the lock files and the channels. Nothing is resolved yet, and the channels are not contacted.
- ``resolve`` selects conda or pip: as the user requests, by the format of a given lock, or pip if a channel
  is unreachable. It raises if the environment lacks Dask, because no cluster could run in it.
- ``lock_files`` finds the lock. It is used as long as it matches the environment.yml, so that a second bake
  installs the same packages; otherwise a new lock is made and written beside the file. A lock given by
  ``--lock`` is used or refused, and never replaced.
- ``conda`` solves with rattler. ``pip`` resolves with uv, and builds and downloads with the host's pip, both
  with the user's settings of pip, so that indexes, proxies and certificates need not be configured twice;
  ``pip_lock`` is the format of its lock. ``translate`` turns conda's specs into pip's requirements, with the
  names in ``names.toml``.
- ``installers`` packs the locked packages, verified by their hashes, into the payload of the image. The
  instance that is baked needs no network for them.

A lock holds neither passwords nor tokens, because the image contains it. conda brings its own Python, and
conda.lock fits every base image. pip installs for the base image's own Python, so that there is a pip.lock
for each of these versions, or for a build of uv's, which the lock names and the payload contains.
"""
