"""What a user can do wrong, and what can go wrong: one sentence, a way out, an exit code, nothing left."""

import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from local_cloud import NAME, PORT, until
from local_watched import started


def assert_said(done, code, *words):
    """It ended so, and the last words are a sentence with these words and a hint; no traceback."""
    told = done.stdout + done.stderr
    assert done.returncode == code, told
    assert "Traceback" not in told
    assert "Error: " in done.stderr
    assert "Hint: " in done.stderr
    for word in words:
        assert word in done.stderr


def as_root():
    """The words before a command that needs root."""
    return [] if os.geteuid() == 0 else ["sudo", "-n"]


@pytest.fixture(autouse=True)
def nothing_left(cloud):
    """After each of these tests no instance, no group and no secret is there that was not before."""
    cloud.bring_up()
    before = (cloud.live_instances(), cloud.groups(), cloud.secrets())
    yield
    cloud.bring_up()
    assert (cloud.live_instances(), cloud.groups(), cloud.secrets()) == before


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        (("--count", "1"), "--count"),
        (("--count", "0"), "--count"),
        (("--nprocs", "0"), "--nprocs"),
        (("--name", "my cluster"), "my cluster"),
        (("--type", "m6i.enormous"), "m6i.enormous"),
    ],
)
def test_wrong_use_starts_nothing(cloud, image, flags, word):
    """Exit code 2, and the value that was wrong is named."""
    assert_said(cloud.attempt("launch", *flags), 2, word)


def test_an_image_that_does_not_exist(cloud, image):
    """Known before anything is made."""
    assert_said(cloud.attempt("launch", "--ami", "ami-0123456789abcdef0"), 1, "ami-0123456789abcdef0")


@pytest.mark.parametrize("command", [("status", "nobody"), ("down", "nobody"), ("ssh", "--name", "nobody")])
def test_a_cluster_that_does_not_exist(cloud, image, command):
    """Its name is in the answer."""
    assert_said(cloud.attempt(*command), 2, "nobody")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_launch_leaves_nothing(cloud, image, number):
    """Ctrl-C, or kill, as soon as the instances are there: exit code 130."""
    process = cloud.start("launch", "--name", "stopped", "--count", "3", "--nprocs", "2")
    for line in process.stderr:
        if "instances" in line:
            break
    process.send_signal(number)
    told, said = process.communicate(timeout=60)

    assert process.returncode == 130, told + said
    assert "Traceback" not in told + said
    assert (cloud.live_instances(), cloud.groups()) == ([], [])


def test_a_launch_that_takes_too_long_ends_itself(cloud, image):
    """At the deadline everything that it made is taken down, and the late node's console is shown."""
    assert_said(cloud.attempt("launch", "--name", "late", "--count", "3", "--timeout", "2"), 1, "2 s")


def test_a_full_disk_during_a_bake(cloud, image, small_disk):
    """The bake fails in words, and nothing of it is left."""
    done = cloud.attempt("bake", "--force", timeout=300)

    assert_said(done, 1)
    assert "No space left on device" in done.stdout + done.stderr


def test_a_port_in_use(cloud):
    """The local cloud names the port, and how to choose another."""
    cloud.run("local", "down")
    with socket.create_server(("127.0.0.1", int(PORT))):
        assert_said(cloud.attempt("local", "up"), 1, PORT, "DASK_BAKE_LOCAL_PORT")


def test_an_address_block_in_use(cloud):
    """The block that was asked for collides with a route of this machine."""
    cloud.run("local", "down")
    taken = {"DASK_BAKE_LOCAL_BLOCK": "10.99.0.0/24"}
    prefix = as_root()
    subprocess.run([*prefix, "ip", "link", "add", "dbt-taken", "type", "bridge"], check=True)
    try:
        subprocess.run([*prefix, "ip", "address", "add", "10.99.0.1/16", "dev", "dbt-taken"], check=True)
        subprocess.run([*prefix, "ip", "link", "set", "dbt-taken", "up"], check=True)
        assert_said(cloud.attempt("local", "up", **taken), 1, "10.99.0.0/24", "DASK_BAKE_LOCAL_BLOCK")
    finally:
        subprocess.run([*prefix, "ip", "link", "delete", "dbt-taken"], check=True)


@pytest.fixture
def programs(tmp_path):
    """A PATH that can be short of a program."""

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


def test_a_machine_without_packer(cloud, programs, tmp_path):
    """A bake says how to get it; the local cloud itself needs none."""
    without = {"PATH": programs("packer"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    assert_said(cloud.attempt("bake", "--force", **without), 1, "Packer is not installed", "make setup")


def test_a_missing_debian_package(cloud, programs):
    """Missing programs are named by their Debian package, also by `local doctor`."""
    cloud.run("local", "down")
    path = programs("systemd-nspawn")
    assert_said(cloud.attempt("local", "up", PATH=path), 1, "apt-get install systemd-container")
    assert "systemd-container" in cloud.attempt("local", "doctor", PATH=path).stdout


def test_a_user_without_root(cloud):
    """Neither root nor sudo: the local cloud says what it needs and why."""
    cloud.run("local", "down")
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    settings = [f"{key}={value}" for key, value in {**cloud.environment, "HOME": "/nonexistent"}.items()]
    done = subprocess.run(
        [*as_root(), "env", *settings, *nobody, *cloud.command("local", "up")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert_said(done, 1, "root", "sudo")


def test_a_killed_server_is_named_and_cleared_away(cloud, image):
    """After `kill -9`, `local doctor` names machine, interface, rules, files; `local down` removes them."""
    cloud.run("launch", "--name", "orphan", "--count", "2", "--nprocs", "1")
    pid = cloud.json("local", "status")["pid"]
    prefix = as_root()
    subprocess.run([*prefix, "kill", "-9", str(pid)], check=True)
    until(lambda: not Path(f"/proc/{pid}").exists(), timeout=30)
    named = cloud.attempt("local", "doctor").stdout
    cloud.run("local", "down")
    after = cloud.json("local", "doctor")
    shutil.rmtree(cloud.home / "state" / "dask-bake" / "local-us-east-1-orphan")

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
    """A head and a worker, which share a disk of 300 MB; nothing of it is left."""
    for cluster in started(cloud, image, "full", "--count", "2", "--nprocs", "2", "--nthreads", "1"):
        filled = cluster.run(1, "sudo", "sh", "-c", "cat /dev/zero >/full || df /var/lib/dask")
        assert "100%" in filled
        yield cluster


def test_nodes_whose_disk_is_full_are_reached_and_go_on(full, fault_row):
    before = full.processes(1)
    here = f"addresses({full.host(1)!r})"
    with fault_row(
        "On a node",
        "the disks of all nodes are full",
        "they are reached by SSH, and compute; worker processes that die are replaced",
        left="everything",
    ):
        assert full.compute("print(json.dumps(client.submit(sum, range(100)).result()))") == 4950
        assert full.run(1, "systemctl", "is-active", "ssh", "dask-worker") == "active\nactive\n"
        full.run(1, "sudo", "kill", "-KILL", *map(str, before.values()))
        full.until(f"len({here}) == 2 and not {here} & {set(before)}", timeout=60)
