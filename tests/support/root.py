"""Commands that need root: run as they are by root, with sudo by others."""

import os
import subprocess


def as_root(*command: str) -> list[str]:
    """Return the command line that runs a command as root; without arguments its prefix."""
    return [*command] if os.geteuid() == 0 else ["sudo", "-n", *command]


def run_as_root(*command: str, timeout: float = 300) -> str:
    """Run a command as root and return its output; fail if it fails."""
    done = subprocess.run(as_root(*command), capture_output=True, text=True, timeout=timeout, check=False)
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stderr}"
    return done.stdout
