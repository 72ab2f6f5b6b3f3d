"""Look up, compare, copy, share and remove the images that dask-bake baked.

Open ``catalog`` first: ``look_up`` returns the images of a region as ``ImageFacts`` (``facts``). Every
change is a plan that can be shown, and a function that carries it out: ``prune``, ``share``, and
``copy_plan`` with ``copy``. ``manifest`` is what an image contains, in the image as JSON and beside it as
tags; ``differences`` compares two manifests, ``sbom`` writes one as CycloneDX, and ``compatibility``
decides whether a client and an instance type fit an image.
"""
