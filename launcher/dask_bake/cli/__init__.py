"""The command line: options of click's in, a command called, its outcome as an exit code;
begins in ``main``.
"""
