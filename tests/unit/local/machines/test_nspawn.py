"""A machine: its mount, its network link and its systemd-nspawn process."""

import os
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from dask_bake.local.machines.nspawn import (
    Machine,
    MachineSpec,
    boot_command,
    children,
    kill_tree,
    mount_command,
    raise_limits,
    remove_nspawn_folder,
)

SPEC = MachineSpec(
    name="dask-bake-i-0123456789abcdef0",
    directory=Path("/var/lib/dask-bake/instances/i-0123456789abcdef0"),
    layers=(Path("/var/lib/dask-bake/layers/base"), Path("/var/lib/dask-bake/layers/dask")),
    address="10.213.0.4",
)


@pytest.mark.parametrize(
    ("layers", "own", "options"),
    [
        ("ro", "rw", "lowerdir=ro/dask:ro/base,upperdir=rw/upper,workdir=rw/work"),
        ("../../layers", ".", "lowerdir=../../layers/dask:../../layers/base,upperdir=upper,workdir=work"),
    ],
)
def test_layers_are_mounted_newest_first_below_a_writable_one(layers, own, options):
    assert mount_command(SPEC, Path(layers), Path(own)) == [
        "env",
        f"--chdir={SPEC.directory}",
        "mount",
        "-t",
        "overlay",
        "overlay",
        "-o",
        options,
        f"{SPEC.directory}/root",
    ]


def test_a_machine_with_users_of_its_own_boots_with_them():
    assert f"--private-users={0x24000000}:65536" in boot_command(replace(SPEC, users=0x24000000))


def test_a_machine_boots_with_its_own_name_and_virtual_ethernet_link():
    assert boot_command(SPEC) == [
        "systemd-nspawn",
        "--quiet",
        "--boot",
        "--machine=dask-bake-i-0123456789abcdef0",
        f"--directory={SPEC.directory}/root",
        "--network-interface=ens56789abcdef0",
        f"--bind-ro={SPEC.directory}/hypervisor:/sys/hypervisor",
        f"--kill-signal={signal.SIGRTMIN + 4}",
        "--private-users=1878917120:65536",
        "--private-users-ownership=off",
        "--drop-capability=CAP_AUDIT_CONTROL,CAP_AUDIT_WRITE,CAP_IPC_OWNER,CAP_LEASE,CAP_LINUX_IMMUTABLE,"
        "CAP_MKNOD,CAP_SYS_NICE,CAP_SYS_RESOURCE,CAP_SYS_TTY_CONFIG",
        "--rlimit=RLIMIT_NOFILE=1024:1048576",
        "--register=no",
        "--keep-unit",
        "--settings=no",
        "--link-journal=no",
        "--resolv-conf=off",
        "--timezone=off",
    ]


def test_interface_names_are_valid_for_linux():
    ends = (SPEC.host_end, SPEC.guest_end)

    assert ends == ("vb56789abcdef0", "ens56789abcdef0")
    assert max(len(end) for end in ends) <= 15


def test_kill_also_kills_the_children():
    with subprocess.Popen(["sh", "-c", "sleep 60 & echo; wait"], stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        parent.stdout.readline()
        child = children(parent.pid)
        kill_tree(parent.pid)
        parent.wait(5)
        assert parent.stdout.read() == b""  # the child held the pipe, and is gone too

    assert (len(child), children(parent.pid)) == (1, ())


def test_a_machine_that_has_ended_is_not_killed_again():
    """Its process id may be that of another process by then, here of the test."""
    process = subprocess.Popen(["true"])
    process.wait()
    process.pid = os.getpid()

    Machine(SPEC, process).kill()


def test_a_machine_whose_guest_reboots_says_so():
    """nspawn then ends with 133; here a shell does, when its child has got the signal."""
    process = subprocess.Popen(
        ["sh", "-c", "sleep 60 & echo; wait; exit 133"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    process.stdout.readline()
    machine = Machine(SPEC, process)
    assert not machine.is_rebooting

    machine.reboot()

    assert (machine.wait(), machine.is_rebooting) == (133, True)
    machine.reboot()  # too late, and no error
    process.stdout.close()


def test_a_folder_of_nspawn_is_removed_unless_something_is_in_it(tmp_path):
    empty, full = tmp_path / "empty", tmp_path / "full"
    empty.mkdir()
    (full / "inside").mkdir(parents=True)

    for folder in (empty, full, tmp_path / "missing"):
        remove_nspawn_folder(folder)

    assert list(tmp_path.iterdir()) == [full]


@pytest.mark.parametrize(("before", "after"), [("128\n", "1024"), ("8192\n", "8192\n")])
def test_the_limit_of_inotify_instances_is_raised_and_never_lowered(tmp_path, before, after):
    """Those of all machines count as the host's root's; 128 are enough for a dozen."""
    limit = tmp_path / "max_user_instances"
    limit.write_text(before)

    raise_limits(limit)

    assert limit.read_text() == after


def test_limits_that_cannot_be_raised_are_left(tmp_path):
    raise_limits(tmp_path / "missing")
