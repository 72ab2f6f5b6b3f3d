"""SSH to a cluster's nodes: keys, host keys, transports, and tunnels to the head.

Open ``connect`` first. Its functions serve the commands: ``prepare_host`` returns a node that ssh can reach,
``open_tunnel`` forwards ports, ``query_head`` returns the registered workers and the shutdown timers for
``status``, and ``not_allowed_error`` explains a failure by the security group. A launch waits for its head
through ``head_connection``, which implements the protocol in ``ec2.protocols``.

- ``keystore`` is the private folder of one cluster below ``XDG_STATE_HOME``: SSH key, TLS certificates and
  the nodes' host keys. Only the machine that launched a cluster can log in to it. Host keys are pinned under
  a name made of the launch id and the node's number, since addresses are reused.
- ``keypair`` makes a cluster's SSH key, or reads the user's own. That stays in its file, unless ssh cannot
  read the file: ``ssh-keygen`` tells.
- ``host_keys`` reads a node's host key from its console output, which comes from EC2's API. So no host key
  is trusted on first use.
- ``command`` builds the ssh command lines. They read none of the user's configuration, use only the
  cluster's key, never prompt, and accept pinned host keys only. A worker node is reached through the head.
- ``transport`` decides how the connection to the head is made: directly, through a bastion, by Session
  Manager or by an Instance Connect Endpoint. The choice is made at launch and stored in the cluster's tags,
  so that other commands need no option for it. A bastion is reached with the user's own ssh configuration,
  because only that has its keys.
- ``tunnel`` runs ``ssh -N -L``. It starts ssh when the head answers, or at intervals when a proxy carries the
  connection, and again if ssh ends. Its end here is a Unix socket in a private folder: at a port, any user
  of this machine could answer, or connect. ssh ends with this process: otherwise it would count as a
  connected user and delay the idle time-out.
- ``dask_comm`` is the comm backend by which a Dask client connects through such a socket.
- ``web_port`` is a port of this machine for browsers, which has to be one that all users can connect to.
- ``scheduler_http`` reads the scheduler's counts, with limits, since a task can answer in its place.

The system's ``ssh`` is used instead of a library.
"""
