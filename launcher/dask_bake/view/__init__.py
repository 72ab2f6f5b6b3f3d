"""Everything that a command prints: text by rich, and the same as JSON.

Open ``terminal`` first: ``Terminal`` is a command's output. Results go to stdout; notes, progress,
questions and errors go to stderr, so that a pipe gets the result alone. Its ``notify`` is the callback that
all functions below take to report progress.

- ``console`` is where all text passes, so that no tag, name or console of others can control the terminal.
- ``progress`` shows a launch (nodes and phases in a live table) and a bake (a line for each phase). Where
  stderr is not a terminal, both print plain lines.
- ``clusters``, ``launch_plan``, ``bake``, ``images``, ``image_plans``, ``reap`` and ``config`` turn values
  into renderables: ``…_view``, ``…_table`` and ``…_panel`` are what a person reads.
- ``cluster_json`` and ``image_json`` turn the same values into plain data, for ``--json``: functions named
  ``…_document``. Their keys are an interface. Small documents stand beside their view, in ``bake`` and
  ``reap``.
- ``layout`` has what the views share: grids, tables, indentation, ages and sizes as text, errors, and the
  only conversion to JSON.

Rules that the tests hold the package to:

- Views compute nothing and request nothing: the caller passes what was observed, and the time.
- Data is never markup: a value becomes ``Text(value)``, and the consoles interpret neither markup nor emoji
  codes.
- Every view fits 80 columns and can be read without colour.
- A command in a view or a hint is complete, with the ``--cloud``, ``--region`` and ``--profile`` that the
  user gave: ``Terminal.flags`` has them, and ``hints.complete`` inserts them.
- rich is imported here and nowhere else.
"""
