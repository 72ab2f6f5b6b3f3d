"""Programs are run with a time limit and stopped with their children."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import dask_bake
from dask_bake.errors import BakeError
from dask_bake.models.cloud import Connect
from dask_bake.ssh import command
from dask_bake.ssh.command import Host, run_there
from dask_bake.ssh.transport import check_version
from dask_bake.ssh.tunnel import Tunnel
from dask_bake.system.subprocesses import TIMED_OUT, run, run_with_timeout, start, stop

LONG = 600
"""Seconds; longer than any test waits."""
DEAF = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True);"
    f" time.sleep({LONG})"
)


@pytest.fixture
def quickly():
    """Fail a test that waited for the program's own end."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < LONG / 4


def lives(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_output_and_exit_code_are_returned():
    done = run_with_timeout(["sh", "-c", "echo out; echo err >&2; exit 3"], LONG)

    assert (done.returncode, done.stdout, done.stderr) == (3, "out\n", "err\n")


def test_a_program_that_exceeds_its_time_is_stopped_with_its_children(quickly, tmp_path):
    child = tmp_path / "child"
    done = run_with_timeout(["sh", "-c", f"echo begun; sleep {LONG} & echo $! >{child}; wait"], 3)

    assert (done.returncode, done.stdout, done.stderr) == (TIMED_OUT, "begun\n", "no answer within 3 s")
    assert not lives(child.read_text().strip())


def test_a_child_that_ignores_sigterm_is_killed_where_its_parent_ends(quickly, tmp_path):
    child = tmp_path / "child"
    script = f"(trap '' TERM; echo 1; exec sleep {LONG}) & echo $! >{child}; wait"
    process = start(["sh", "-c", script], stdout=subprocess.PIPE)
    assert process.stdout.read(1) == "1"
    while not (child.exists() and child.read_text()):
        time.sleep(0.01)

    stop(process)

    assert process.returncode == -15
    assert not lives(child.read_text().strip())
    process.stdout.close()


def test_a_background_child_is_not_waited_for(quickly):
    done = run_with_timeout(["sh", "-c", f"sleep {LONG} & echo $!"], LONG)

    os.kill(int(done.stdout), signal.SIGKILL)  # it is still there
    assert done.returncode == 0


def test_a_program_that_ignores_sigterm_is_killed(quickly):
    process = start([sys.executable, "-c", DEAF], stdout=subprocess.PIPE)
    assert process.stdout.read(1) == "1"

    stop(process, seconds=0.1)

    assert process.returncode == -9
    process.stdout.close()


def test_the_children_of_a_killed_program_are_gone_when_stop_returns(quickly, tmp_path):
    child = tmp_path / "child"
    script = f"trap '' TERM; sleep {LONG} & echo $! >{child}; echo 1; wait"
    process = start(["sh", "-c", script], stdout=subprocess.PIPE)
    assert process.stdout.read(1) == "1"

    stop(process, seconds=0.1)

    assert not lives(child.read_text().strip())
    process.stdout.close()


def test_a_program_in_our_own_session_is_stopped_alone(quickly):
    process = start(["sleep", str(LONG)], new_session=False)

    stop(process)

    assert process.returncode == -15


def test_run_returns_the_output():
    assert run(["cat"], text="a line\n") == "a line\n"


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["sh", "-c", "echo one; echo two >&2; exit 3"], "^`sh -c .*` failed: two$"),
        (["sh", "-c", "exit 3"], "^`sh -c exit 3` failed: it printed nothing$"),
        (["no-such-program"], "^the program no-such-program is not installed$"),
        (["sleep", str(LONG)], f"^`sleep {LONG}` did not end within 0 s$"),
    ],
)
def test_run_raises_where_the_command_fails(quickly, command, message):
    with pytest.raises(BakeError, match=message):
        run(command, seconds=0.3)


def a_program(folder, name, monkeypatch, script):
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def a_host(folder):
    return Host("admin", "127.0.0.1", "alias", folder / "key", folder / "known_hosts", proxy=("x",))


def test_a_command_on_a_node_that_does_not_answer_is_stopped(quickly, tmp_path, monkeypatch):
    a_program(tmp_path, "ssh", monkeypatch, f"sleep {LONG}")

    done = run_there(a_host(tmp_path), ["cat", "x"], seconds=0.3)

    assert (done.returncode, done.stdout) == (TIMED_OUT, "")
    assert command.COMMAND_TIMEOUT <= 60


def test_a_tunnel_whose_ssh_hangs_is_closed(quickly, tmp_path, monkeypatch):
    a_program(tmp_path, "ssh", monkeypatch, f"trap '' TERM; sleep {LONG}")
    tunnel = Tunnel(a_host(tmp_path), [command.Forward(1, 1)])
    assert not tunnel.advance()

    tunnel.close()


def test_an_aws_cli_that_prints_no_version_is_accepted(quickly, tmp_path, monkeypatch):
    a_program(tmp_path, "aws", monkeypatch, "exit 1")

    check_version(Connect.EICE)


TUNNELLING = """
import signal, sys
from pathlib import Path
from dask_bake.ssh.command import Forward, Host
from dask_bake.ssh.tunnel import Tunnel
nowhere = Path("nowhere")
Tunnel(Host("admin", "127.0.0.1", "alias", nowhere, nowhere, proxy=("x",)), [Forward(1, 1)]).advance()
signal.pause()
"""


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="the system has no way")
def test_a_tunnel_does_not_outlive_a_launcher_that_is_killed(quickly, tmp_path, monkeypatch):
    script = f"echo $$ >{tmp_path}/new; mv {tmp_path}/new {tmp_path}/pid; exec sleep {LONG}"
    a_program(tmp_path, "ssh", monkeypatch, script)
    deadline = time.monotonic() + LONG / 4
    launcher = subprocess.Popen(
        [sys.executable, "-c", TUNNELLING],
        env={**os.environ, "PYTHONPATH": str(Path(dask_bake.__file__).parents[1])},
    )
    while not (tmp_path / "pid").exists():
        assert time.monotonic() < deadline
    pid = (tmp_path / "pid").read_text().strip()
    assert lives(pid)

    launcher.kill()
    launcher.wait()

    while lives(pid):
        assert time.monotonic() < deadline


def test_a_node_cannot_fill_this_machine_s_disk(quickly, tmp_path, monkeypatch):
    """Whoever has taken it over can answer any command with as much as they like."""
    a_program(tmp_path, "ssh", monkeypatch, "exec yes")
    monkeypatch.setattr(command, "OUTPUT_LIMIT", 100_000)

    done = run_there(a_host(tmp_path), ["cat", "x"], seconds=LONG)

    assert done.returncode != 0
    assert len(done.stdout) == 100_000
