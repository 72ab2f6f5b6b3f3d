"""The HTTP endpoint of the local cloud: one address for every AWS service, with fault injection.

Open ``app`` first: it decides, by the signature of a request, which service it is for. EC2 goes to
``local.ec2``, S3 and the other services to moto. Instances reach a second listener that serves S3 alone, so
that user code on a node can neither launch instances nor change the cloud's faults.

Every request passes ``fault_gate``, which matches it against the fault rules before the service sees it, and
writes it to ``request_log``. ``admin`` is the API of `dask-bake local fault` and of the tests: faults,
quotas, base images and the request log. It has no password, because it listens on 127.0.0.1 alone.
"""
