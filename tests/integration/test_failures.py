"""Errors of users and failures of the machine: message, hint, exit code, and nothing left."""

import os
import re
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from local_cloud import NAME
from local_cluster import started
from polling import until
from root import as_root


def assert_error(done, code, *words):
    """Fail unless the command ended with that code and an error with these words and a hint."""
    output = done.stdout + done.stderr
    assert done.returncode == code, output
    assert "Traceback" not in output
    assert "Error: " in done.stderr
    assert "Hint: " in done.stderr
    for word in words:
        assert word in done.stderr


@pytest.fixture(autouse=True)
def check_launch_leftovers(cloud, no_shared_cluster):
    """Fail if a test leaves an instance, a group or a key."""
    cloud.bring_up()
    before = (cloud.live_instances(), cloud.groups(), cloud.secrets())
    yield
    cloud.bring_up()
    assert (cloud.live_instances(), cloud.groups(), cloud.secrets()) == before


def test_an_interrupted_launch_leaves_nothing(cloud, image):
    """Ctrl-C as soon as the instances exist: exit code 130."""
    process = cloud.start("launch", "--name", "stopped", "--count", "3", "--nprocs", "2")
    for line in process.stderr:
        if "instances" in line:
            break
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)

    assert process.returncode == 130, stdout + stderr
    assert "Traceback" not in stdout + stderr
    assert (cloud.live_instances(), cloud.groups()) == ([], [])


@pytest.mark.slow
def test_a_launch_beyond_its_deadline_is_undone(cloud, image):
    """Everything is removed, and the late node's console is printed."""
    assert_error(cloud.attempt("launch", "--name", "late", "--count", "3", "--timeout", "2"), 1, "2 s")


@pytest.mark.slow
def test_a_worker_that_cannot_start_is_blamed_with_the_error_of_its_journal(cloud, image, tmp_path):
    """After three restarts by the same error, long before the launch's time-out."""
    module = tmp_path / "own.py"
    module.write_text("import nosuchmodule\n")

    done = cloud.attempt("launch", "--name", "blamed", "--count", "2", "--preload", str(module))

    assert_error(done, 1, "Error: the worker on node 1 does not start, at ")
    assert re.search(
        r"at [3-9] restarts: ModuleNotFoundError: No module named 'nosuchmodule'\nHint:", done.stderr
    )
    assert "node 1:     import nosuchmodule\n" in done.stderr


@pytest.mark.slow
def test_a_failing_command_of_the_user_data_is_in_the_error(cloud, image, tmp_path):
    own = tmp_path / "own.yml"
    # Its workers do not start, so the launch is not ready before cloud-init fails.
    drained = "bootcmd:\n- mkdir -p /run/dask-bake\n- touch /run/dask-bake/draining\n"
    own.write_text(f"#cloud-config\n{drained}runcmd:\n- echo one\n- nosuchcommand --now\n")

    done = cloud.attempt("launch", "--name", "failing", "--count", "2", "--user-data", str(own))

    assert_error(done, 1, "ended while the cluster was launched: cloud-init failed in modules-final: ")
    assert "nosuchcommand: not found" in done.stderr.rpartition("Error: ")[2]
    assert "Reached target poweroff.target" not in done.stderr


@pytest.mark.slow
def test_a_full_disk_fails_the_bake(cloud, image, small_disk):
    """With a message, and nothing is left."""
    done = cloud.attempt("bake", "--force", timeout=300)

    assert_error(done, 1)
    assert "No space left on device" in done.stdout + done.stderr


@pytest.fixture
def second(tmp_path):
    """Settings of a second local cloud that never starts, so that the first can keep running."""
    with socket.create_server(("127.0.0.1", 0)) as somebody:
        port = str(somebody.getsockname()[1])
    return {
        "DASK_BAKE_LOCAL_NAME": f"{NAME}b",
        "DASK_BAKE_LOCAL_PORT": port,
        "DASK_BAKE_LOCAL_ROOT": str(tmp_path / "root"),
    }


@pytest.mark.slow
def test_a_port_in_use_is_an_error(cloud, second):
    """The message names the port, the hint the option that changes it."""
    port = second["DASK_BAKE_LOCAL_PORT"]
    with socket.create_server(("127.0.0.1", int(port))):
        assert_error(cloud.attempt("local", "up", **second), 1, port, "DASK_BAKE_LOCAL_PORT")


@pytest.mark.slow
def test_an_address_block_in_use_is_an_error(cloud, second):
    """The block overlaps with a route of this machine."""
    taken = {**second, "DASK_BAKE_LOCAL_BLOCK": "10.99.0.0/24"}
    prefix = as_root()
    subprocess.run([*prefix, "ip", "link", "add", "dbt-taken", "type", "bridge"], check=True)
    try:
        subprocess.run([*prefix, "ip", "address", "add", "10.99.0.1/16", "dev", "dbt-taken"], check=True)
        subprocess.run([*prefix, "ip", "link", "set", "dbt-taken", "up"], check=True)
        assert_error(cloud.attempt("local", "up", **taken), 1, "10.99.0.0/24", "DASK_BAKE_LOCAL_BLOCK")
    finally:
        subprocess.run([*prefix, "ip", "link", "delete", "dbt-taken"], check=True)


@pytest.fixture
def programs(tmp_path):
    """A PATH that can lack a program."""

    def without(*missing):
        folder = tmp_path / "bin"
        folder.mkdir()
        for place in (*os.environ["PATH"].split(":"), "/usr/sbin", "/sbin"):
            for program in Path(place).glob("*"):
                link = folder / program.name
                if program.name not in missing and not link.is_symlink():
                    link.symlink_to(program)
        return str(folder)

    return without


@pytest.mark.slow
def test_a_bake_without_packer_is_an_error(cloud, programs, tmp_path):
    """The hint says how to install it; the local cloud itself does not need it."""
    without = {"PATH": programs("packer"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    assert_error(cloud.attempt("bake", "--force", **without), 1, "Packer is not installed", "make setup")


@pytest.mark.slow
def test_a_missing_program_is_named_by_its_debian_package(cloud, programs, second):
    """Also by `local doctor`."""
    without = {**second, "PATH": programs("systemd-nspawn")}
    assert_error(cloud.attempt("local", "up", **without), 1, "apt-get install systemd-container")
    assert "systemd-container" in cloud.attempt("local", "doctor", **without).stdout


@pytest.mark.slow
def test_the_local_cloud_without_root_is_an_error(cloud, second):
    """Neither root nor sudo: the message says what needs root."""
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    settings = [
        f"{key}={value}" for key, value in {**cloud.environment, **second, "HOME": "/nonexistent"}.items()
    ]
    done = subprocess.run(
        [*as_root(), "env", *settings, *nobody, *cloud.command("local", "up")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert_error(done, 1, "root", "sudo")


@pytest.mark.slow
def test_leftovers_of_a_killed_server_are_named_and_removed(cloud, image):
    """`local doctor` names machine, interface, rules and files; `local down` removes them."""
    cloud.run("launch", "--name", "orphan", "--count", "2", "--nprocs", "1")
    pid = cloud.json("local", "status")["pid"]
    prefix = as_root()
    subprocess.run([*prefix, "kill", "-9", str(pid)], check=True)
    until(lambda: not Path(f"/proc/{pid}").exists(), timeout=30)
    named = cloud.attempt("local", "doctor").stdout
    cloud.run("local", "down")
    after = cloud.json("local", "doctor")
    shutil.rmtree(cloud.secrets_of("orphan"))

    for what in (
        f"machine {NAME}-i-",
        "dnsmasq",
        f"network interface {NAME}",
        f"firewall rules of {NAME}",
        "folder",
    ):
        assert what in named
    assert after == []


@pytest.fixture
def full(cloud, image, small_disk):
    """A head and a worker that share a disk of 300 MB."""
    for cluster in started(cloud, image, "full", "--count", "2", "--nprocs", "2", "--nthreads", "1"):
        filled = cluster.run(1, "sudo", "sh", "-c", "cat /dev/zero >/full || df /var/lib/dask")
        assert "100%" in filled
        yield cluster


@pytest.mark.slow
def test_nodes_with_a_full_disk_are_reachable_and_continue(full, fault_row):
    before = full.processes(1)
    here = f"addresses({full.host(1)!r})"
    with fault_row(
        "On a node",
        "the disks of all nodes are full",
        "SSH and computations still work; nannies replace worker processes that die",
        left="everything",
    ):
        assert full.compute("print(json.dumps(client.submit(sum, range(100)).result()))") == 4950
        assert full.run(1, "systemctl", "is-active", "ssh", "dask-worker") == "active\nactive\n"
        full.run(1, "sudo", "kill", "-KILL", *map(str, before.values()))
        full.until(f"len({here}) == 2 and not {here} & {set(before)}", timeout=60)
