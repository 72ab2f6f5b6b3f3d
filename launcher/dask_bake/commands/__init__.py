"""One module for each command: it connects the real clients, calls the packages below, and shows the result.

Open ``launch`` first. A command gets its options as plain data from ``cli``, with the cloud, an EC2 client
and a ``Terminal``, and returns the exit code; errors are exceptions of ``errors``, which ``cli.main``
prints. Decisions belong to the packages below; what is done here is their order:

- ``launch``: look up, plan, check, then launch and show the cluster, or show the plan.
- ``clusters``: ``ls``, ``status``, ``address``, ``extend`` and ``down``; ``connect``: ``ssh``, ``connect``
  and ``ui``; ``allow_me``: SSH access from another address.
- ``access``: ``run``, ``cp``, ``logs`` and ``ssh-config``, a module for each.
- ``bake``: resolve the environment, open the cloud, bake; also ``lock`` and ``bake --explain``.
- ``images`` and ``reap``: look up, plan, confirm, remove, copy or share. ``confirm`` asks; both check
  before any request that there is a terminal to ask on.
- ``config``: the settings and their sources. ``local``: the local cloud, which only this package and
  ``clouds`` import.

Clocks, ``sleep``, addresses of this machine and clients are created here and passed down, so that tests of
the packages below pass their own. A dry run is the plan, shown and not carried out: no function below a
command knows of it.
"""
