"""Launch a cluster: look up, check and plan it, then start the nodes and wait for the workers.

Open ``executor`` first: ``launch()`` executes a plan and returns the cluster. The steps before it are called
by ``commands.launch``:

1. ``discovery``: ``discover()`` looks up everything that the launch depends on, concurrently and read-only,
   and returns a ``Discovery``. It judges nothing.
2. ``preflight``: ``check()`` compares the options with the ``Discovery``, raises the first error, and returns
   a ``LaunchTarget``: image, subnets, types and the sources of SSH. It sends no request, and runs before the
   first call that creates anything, so that a wrong option leaves nothing behind.
3. ``plan``: a ``LaunchPlan`` is computed from options, target and the files for the nodes (``bootstrap``:
   SSH key, certificates, the user's files). It decides names, tags, rules and every request. ``--dry-run``
   shows the plan that a launch executes. ``check_user_data()`` raises here if user-data is too large.
4. ``executor``: creates the security groups and the key pair, has ``provision`` start the nodes and
   ``readiness`` wait for them. ``state`` is the cluster as last seen. On a failure or Ctrl-C, everything with
   the tag of this launch is removed; ``--keep-on-failure`` keeps nodes that did not become ready.

Decisions:

- The lock on a cluster's name is its security group (``executor``): EC2 accepts the group's name only once,
  so only one of two simultaneous launches creates it.
- The zone: ``placement`` orders the candidates, each with one zone, one market for the workers, and the types
  in order of preference. A cluster is in one zone. ``provision`` tries one candidate after the other, because
  EC2 tells only in response to a request whether it has capacity.
- The quotas: ``quotas`` refuses a launch that exceeds them on its own; ``preflight`` calls it. A quota that
  is exhausted by other instances shows only when ``provision`` starts nodes.
- The order of the nodes: the head first, because the workers' user-data contains its address.
- The end of the wait: ``readiness`` pins the head's host key from its console before the first connection,
  and then asks the scheduler until all workers have registered, or until the deadline. If EC2 itself ends a
  node that the cluster needs, ``executor`` starts all nodes once more with the remaining candidates.

``warnings``, ``pricing`` and ``dry_run`` inform the user and change no plan: valid options that are probably
unintended, the hourly cost, and the planned calls with EC2's answer whether they are permitted.
"""
