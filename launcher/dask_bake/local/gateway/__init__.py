"""The HTTP endpoint of the local cloud: one address for a few AWS services, with fault injection.

Open ``app`` first. Every request passes ``door``, which keeps web pages out and verifies the signature by the
local cloud's key pair; ``refusals`` are its answers. Without a signature ``public_s3`` lets anybody read what
is public. The signature also says which service a request is for: EC2 goes to ``local.ec2``, S3 and a few
others to moto, and there are no more. Instances reach a second listener that serves S3 alone, so that user
code on a node can neither launch instances nor change the cloud's faults.

Every request passes ``fault_gate``, which matches it against the fault rules before the service sees it, and
writes it to ``request_log``. ``admin`` is the API of `dask-bake local fault` and of the tests: faults,
quotas, base images and the request log. All responses but those of S3 prove that they come from a server with
the key pair.
"""
