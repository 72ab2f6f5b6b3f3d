"""Amazon EC2 in dask-bake's own types; the only package of the launcher that imports boto3.

Open ``api`` first: ``Ec2`` has the operations of a launch, one method for each call. It extends ``lookups``,
the read-only queries that plan a launch. ``images`` has the operations on images and snapshots, ``resources``
finds and deletes what launches have left behind, ``prices`` reads AWS's price list. ``protocols`` describes
these clients for their callers, which accept the real ones and the fakes of the tests.

A call passes through four modules:

- ``requests`` builds the request. Its functions are pure, so that ``--dry-run`` prints what a launch sends.
- ``client`` makes the boto3 client, with credentials from ``session``, time-outs, and the retry policy.
- ``retry`` decides which errors are retried, how long and with how much backoff. It wraps botocore's client
  class and not single calls, so that no call can be made without it. botocore's own retries are off. A retry
  has the client token of the first attempt, so that EC2 never starts instances twice.
- ``responses`` converts the response; dictionaries of the SDK do not leave this package.

``errors`` translates botocore's exceptions into errors for users, with a hint. An error without a definite
response from EC2 becomes ``OutcomeUnknownError``: the caller then looks the resource up by its tags, and
deletes it if the operation has succeeded after all.

Resources that do not exist are no error when they are deleted, so that every clean-up can be repeated. EC2 is
eventually consistent: ``retry`` lists the errors that mean that a new resource is not visible yet.
"""
