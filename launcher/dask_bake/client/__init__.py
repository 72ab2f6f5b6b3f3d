"""The Python API: clients and clusters in the style of Dask's own.

Open ``connect`` and ``cluster`` first. ``dask_bake`` itself hands out the public names; it loads a module
when its name is used, so that the command line stays fast.

- ``connect`` is a Dask client of a cluster through the SSH tunnel. ``link`` is that tunnel: the scheduler's
  address, and the dashboard's. ``versions`` refuses a client that the cluster would not understand.
- ``lifecycle`` has ``launch`` and ``down``, the commands as functions; ``options`` their keywords.
- ``cluster`` is ``BakeCluster``, a ``distributed.deploy.Cluster``. What it does to the cloud is in
  ``backend``; the rest, in ``managed``, needs no cloud: it starts, scales and ends whatever the backend is.
  ``adaptive`` is Dask's Adaptive for whole nodes.
- ``attached`` is the part of a ``distributed.deploy.Cluster`` that follows a scheduler, over connections that
  break and come back.
- ``interrupt`` runs blocking functions beside an event loop, so that a cancelled task undoes its work.
- ``explain`` makes errors ready for Python and notebooks to show.
- ``node`` has the same names on a node of a cluster. It, ``attached`` and the two files that they need are
  all of dask-bake in an image: ``bake.recipe`` stages them.
"""
