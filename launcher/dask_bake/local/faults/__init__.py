"""Faults that tests and users inject: what they are, how they are described, which requests they match.

Open ``model`` first: a ``Fault`` is the kind of failure and the requests that it is for. ``parse`` makes
one from the options of `dask-bake local fault add` and refuses combinations without an effect. ``rules``
holds the faults in force and counts how often each has occurred. All three are pure; ``client`` is the
command line's side.

Faults take effect elsewhere: those of a request in ``gateway.fault_gate``, those of instances in
``ec2.run_instances.instance_faults``, missing capacity in ``ec2.run_instances.capacity``, and those of the
metadata service in ``network.imds``.
"""
