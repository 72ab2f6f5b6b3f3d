"""EC2's operations: what EC2 does beyond the state that moto keeps. Requests in, responses in EC2's XML out.

Open ``api`` first: it validates a request and dispatches it. Operations that moto lacks or answers too
loosely are our own: ``run_instances``, ``describe_instances`` (with ``instance_xml``), ``images`` (with
``image_copies``), ``snapshots``, ``spot_requests``, ``placement_groups`` and ``connect_endpoints``. All
others go to moto, with ``hooks`` before and after, which refuse what EC2 refuses and act on machines.
``client_tokens`` makes operations idempotent, ``validation`` checks parameters of any request.

An operation that the local cloud cannot carry out is refused; none is accepted without an effect. One request
is handled at a time, so that moto's step and our own are one to every client.
"""
