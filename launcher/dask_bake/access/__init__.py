"""Look into a cluster, and bring things along: commands, files and logs of its nodes, over ``ssh``.

Open ``nodes`` first: it turns what the user typed into nodes, and names them ``NAME-1`` for output. What
comes from a node is another machine's text: it is bounded, and cleaned of control characters before it is
shown or kept.

- ``remote`` is the command line by which a command runs on a node under supervision: it ends there as soon as
  this side closes its input, by Ctrl-C or because the connection is gone.
- ``run`` runs such commands on several nodes side by side, and hands over their lines as they come.
- ``cp`` copies to and from several nodes: by ``rsync`` where both sides have it, else by ``sftp``. Both
  continue what broke. ``locations`` parses ``NAME/3:path``.
- ``ssh_config`` renders entries for the user's own ssh. They are a file of the cluster's keystore, and are
  gone with it.
- ``logs`` reads journals by SSH, and consoles from EC2 for nodes that do not answer; ``records`` makes lines
  with node, source and time of both. ``ended`` keeps the logs of a cluster when ``down`` ends it. ``bundle``
  packs logs for a bug report, without the secrets that ``redact`` finds.
"""
