"""Forward the caller's temporary AWS credentials to the tasks of a cluster.

Open ``forwarder`` first: it sends credentials, and new ones at half of their lifetime, until it is stopped.
``scheduler`` sends them over a Dask client's own connection: through the SSH tunnel, with TLS where the
cluster has it. ``session`` opens that connection, for a launch and for ``dask-bake connect``. The scheduler's
part is in the image: ``dask_bake_credentials.py``.

The credentials are in the memory of this process, of the scheduler, of its worker processes and of a service
on each node; they are in no file, and no message with them is logged.
"""
