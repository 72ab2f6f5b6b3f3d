"""Change the number of a cluster's nodes: up and down without a loss.

Open ``scale`` first: ``scale()`` serves the command and the Python API alike, without click and rich::

    scale(cluster_name, wanted, *, cloud, ec2, notify=ignore, timeout=300.0, lock_timeout=150.0,
          allow_foreign=False, nodes=None, clock=time.monotonic, sleep=time.sleep,
          make_connection=…, make_retirement=…) -> ScaleResult

``wanted`` counts nodes, the head included; ``nodes`` are private addresses of worker nodes that are to be
ended before others. It returns the cluster as EC2 describes it afterwards, with the plan that was carried
out, and raises a ``BakeError`` otherwise. ``Scaling`` is the same in two steps, for ``--dry-run``: ``look()``
returns the plan, ``run()`` carries it out.

- ``plan`` decides, without a request: observed nodes and the wanted number give the number of nodes to
  add, or the nodes to end, the least loaded first by the scheduler's own numbers.
- ``template`` is the plan of new nodes. The cloud is the state: user-data, groups, keys and tags are those of
  a worker node that is there; the order of types, zones and markets, and the disk, are in tags that the
  launch gave to the head (``models.growth``). So any machine with the cluster's key can add nodes.
- ``grow`` requests them by the launch's own provisioner, one RunInstances for each kind, and waits by the
  launch's own ``readiness``. If that fails, it ends them again.
- ``shrink`` has the scheduler empty the nodes before EC2 ends them. Until then an error or an interrupt lets
  them work again; afterwards it goes on, so that none is left. Worker processes are not closed, because
  systemd would start them again: they stay without work until their node is off.
- ``retirement`` is the connection to the scheduler, ``head_program`` what runs there.
- ``keep`` replaces worker nodes that EC2 has ended, by the same addition of nodes.
- ``lock`` is a security group with a unique name: one process changes the size at a time.

Numbers of nodes are never used again: a request's nodes are counted from a number in its tag, and the head's
tag has the next free one, which is raised, with the number of nodes, before the request.
"""
