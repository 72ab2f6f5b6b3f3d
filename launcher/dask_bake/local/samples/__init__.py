"""Sample data in the local cloud's S3, for the examples and for a first try without an account.

Open ``s3`` first: it puts the files into the bucket ``dask-data`` when a request first names it.
``taxi_rides`` generates them, with numpy, from a fixed seed, so that results can be compared between
machines.
"""
