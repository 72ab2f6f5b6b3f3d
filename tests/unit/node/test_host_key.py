"""The program that prints a node's host key, run on a folder instead of an instance's root."""

import os
import shutil
import subprocess

import pytest

from dask_bake.ssh.host_keys import BEGIN, END, host_key_from_console
from node_programs import LIBEXEC

QUIET, USUAL = "1", "4\t4\t1\t7"


@pytest.fixture
def root(tmp_path):
    """Return a folder like a node's root; its console and log level are one file, which shows their order."""
    for name in ("etc/ssh", "dev", "proc/sys/kernel"):
        (tmp_path / name).mkdir(parents=True)
    console = tmp_path / "dev/console"
    console.write_text(f"{USUAL}\n")
    (tmp_path / "proc/sys/kernel/printk").symlink_to(console)
    return tmp_path


def print_key(root):
    subprocess.run(
        ["/bin/sh", LIBEXEC / "host-key"],
        env={**os.environ, "DASK_BAKE_ROOT": str(root)},
        check=True,
        timeout=60,
    )
    return (root / "dev/console").read_text()


@pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="needs ssh-keygen")
def test_the_host_key_is_made_once_and_printed_three_times_while_the_kernel_is_quiet(root):
    first = print_key(root).splitlines()
    public = (root / "etc/ssh/ssh_host_ed25519_key.pub").read_text().rstrip("\n")

    assert first == [USUAL, QUIET, *(["", BEGIN, public, END] * 3), USUAL]

    (root / "dev/console").write_text(f"{USUAL}\n")
    assert print_key(root).splitlines() == first
    assert host_key_from_console("\n".join(first)) == " ".join(public.split()[:2])


@pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="needs ssh-keygen")
def test_the_key_is_printed_where_the_kernel_s_level_cannot_be_changed(root):
    """Containers have none, or must not change it."""
    (root / "proc/sys/kernel/printk").unlink()

    assert print_key(root).count(BEGIN) == 3
