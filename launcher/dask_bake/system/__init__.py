"""What this machine is asked for: programs, signals, streams, threads, disks; begins in ``subprocesses``."""
