"""User options: defined in tables, read from flags and configuration, parsed and checked.

Open ``launch_table`` first: it defines every option of ``dask-bake launch`` (flags, metavar, parser, help).
``settings_table`` adds the options of the cloud and of a bake. The command line, the configuration file, the
variables ``DASK_BAKE__…`` and the tables of docs/launching.md are all made from these two tables.

The value of an option passes through four modules:

1. ``configuration`` reads the section ``bake:`` of Dask's configuration and the variables, and remembers the
   source of each value for error messages. ``resolve`` takes the flag, else the configured value.
2. ``values`` parses the value, once: the rest of the program gets ints, paths, tuples and enums.
3. ``parse`` puts the values into ``LaunchOptions``; an option that is not given has its field's default.
4. ``checks`` refuses what cannot work, alone or in combination, before the first request to EC2.
   ``dask_checks``, ``network_checks`` and ``tag_checks`` hold the rules of their subject.

``launch`` holds the data classes, without checks: the checks import it, and it imports no check. Code that
builds ``LaunchOptions`` itself passes the object through ``parse.checked``. Checks that need to know about
the region belong to ``launch.preflight``.

Nothing here imports ``distributed`` before a launch has options for Dask's commands: ``--help`` must be fast.

To add an option of a launch: a row in ``launch_table``, a field in ``LaunchOptions``, a rule in one of the
checks if a value can be wrong, and a case in tests/functional/launch/test_options.py that says how the option
changes the plan.
"""
