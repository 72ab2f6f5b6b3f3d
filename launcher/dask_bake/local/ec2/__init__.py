"""EC2's operations: the behaviour that moto's model of the state lacks. Requests in, EC2's XML out.

Open ``api`` first: it validates a request and dispatches it. Operations that moto lacks or answers too
loosely are our own: ``run_instances``, ``describe_instances`` (with ``instance_xml``), ``images`` (with
``image_copies``), ``snapshots``, ``spot_requests``, ``placement_groups`` and ``connect_endpoints``. All
others go to moto, with ``hooks`` before and after, which refuse what EC2 refuses and act on machines.
``client_tokens`` makes operations idempotent, ``validation`` checks parameters of any request.

Decisions:

- An operation that the local cloud cannot carry out is refused with ``UnsupportedOperation``; none is
  accepted without an effect.
- Errors have EC2's codes and, where they are known, EC2's messages: the launcher and Packer react to them.
- One request is handled at a time, so that no client observes a state between moto's step and our own.
- moto's objects are the record of the state. Resources that moto does not have (placement groups, Instance
  Connect endpoints, cancelled spot requests) are kept here, and their tags with moto's.
- The firewall is updated after every request that may have changed security groups or their members.
"""
