"""Run a bake's scripts on a folder instead of an instance's root."""

import os
import pwd
import subprocess
import sys
from pathlib import Path

PACKER = Path(__file__).parents[2] / "packer"
LIBEXEC = "usr/libexec/dask-bake"
PAYLOAD = "/var/tmp/dask-bake"
DIGEST = "0" * 64
SITE = f"opt/dask/lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"

# Commands that the scripts run, as shell scripts that do little or nothing.
PROGRAMS = {
    "cloud-init": 'rm -rf "$DASK_BAKE_ROOT"/var/lib/cloud/*',
    "journalctl": "",
    "runuser": 'test "$1 $3" = "-u --" && shift 3 && exec "$@"',
    "sshd": 'test ! -e "$DASK_BAKE_ROOT/etc/ssh/wrong"',
    "sync": "",
    "systemctl": "",
    "systemd-analyze": 'echo "$@" >"$DASK_BAKE_ROOT/verified"; test ! -e "$DASK_BAKE_ROOT/invalid"',
}


def put(root: Path, name: str, text: str = "x\n") -> Path:
    """Write a file below root."""
    path = root / name.lstrip("/")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def run_script(name: str, root: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run a script of packer/scripts on a folder; only programs of this machine are used."""
    programs = root.with_name(root.name + "-programs")
    for program, line in PROGRAMS.items():
        put(programs, program, f"#!/bin/sh\n{line}\n").chmod(0o755)
    return subprocess.run(
        ["bash", "-euo", "pipefail", str(PACKER / "scripts" / name), *words],
        env={
            "PATH": f"{programs}:{os.defpath}",
            "DASK_BAKE_ROOT": str(root),
            "DASK_BAKE_PAYLOAD": PAYLOAD,
            "SUDO_USER": pwd.getpwuid(os.getuid()).pw_name,
        },
        cwd=root,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
