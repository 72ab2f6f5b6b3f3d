"""The command line: commands and options of click, and the one place that turns errors into messages.

Open ``main`` first: ``cli`` has all commands in the order of the help, ``run`` returns the exit code, and
``main`` also handles signals. ``bake``, ``clusters``, ``images``, ``local``, ``reap`` and ``setup`` define
the commands: options, help, and the call of a function of ``commands``.

- ``options`` makes click's options from the tables of the package ``options``, which the configuration uses
  too. An option's text reaches the table's own parser unchanged. ``CloudFlags`` and ``ClusterFlags`` are
  the options that choose a cloud and a cluster.
- ``session`` combines them with the configuration, and opens a terminal, a cloud and an EC2 client.
- ``click_types`` has the extensions of click: help in sections, on/off options, arguments after ``--``.

``--help`` and the completion of a shell must be fast. So these modules import at the top click and the
tables alone, and a command imports what it needs when it runs; ``tests/test_architecture.py`` checks it.

Exit codes: 0 done; 1 failed; 2 wrong use; 3 something may be left that costs money; 130 interrupted.
``ssh`` returns the exit code of the command on the node.
"""
