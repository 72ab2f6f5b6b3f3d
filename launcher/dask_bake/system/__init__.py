"""The operating system: other programs, signals, streams, threads, disks, files; knows neither Dask nor EC2.

Open ``subprocesses`` first: it is the only module that starts programs (but for Packer, which packer-py
starts). ``run`` and ``run_with_timeout`` wait for a program's end within a time limit; ``start`` and ``stop``
are for programs that go on, such as ssh's tunnels and the machines of the local cloud. A program that is
stopped is waited for, with its children, so that nothing of it is left when the caller continues. Programs
run in sessions of their own: Ctrl-C reaches dask-bake alone, which then stops them in its own order.

``signals`` decides how often a user can interrupt a command: the first signal ends the work, the second the
clean-up, the third the search for what is left. ``streams`` lets a clean-up finish when the terminal or the
pipe that shows its progress has gone.

``concurrency`` runs look-ups side by side in daemon threads, because each takes a round trip to AWS. ``disk``
turns a full disk or a missing permission into an error that names the folder. ``files`` hashes files and
packs them reproducibly; ``xdg`` finds the user's folders, ``user`` the user's name. ``text`` makes what
others wrote, such as tags and consoles, safe for a terminal.
"""
