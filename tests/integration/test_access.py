"""Commands on nodes, files, logs and the user's own ssh, on a running cluster."""

import itertools
import json
import random
import shutil
import signal
import string
import subprocess
import tarfile
from contextlib import contextmanager

import pytest

from polling import until

NODES = ("shared-0", "shared-1", "shared-2")
PRINT_EVERYWHERE = """
import sys
from distributed import Client
client = Client()
text = {text!r}
client.run(print, text, flush=True)
client.run_on_scheduler(print, text, flush=True)
"""
"""Program for the head: the journals of all nodes get the text."""


@pytest.fixture
def folder(cloud, cluster):
    """Name of a folder in the home of every node, which is removed afterwards."""
    name = "access-" + "".join(random.choices(string.ascii_lowercase, k=8))
    yield name
    cloud.run("run", "shared", "--all", "--", "rm", "-rf", name)


@pytest.fixture
def config(cloud, cluster, tmp_path):
    """A configuration of ssh with the entries of the cluster."""
    path = tmp_path / "config"
    path.write_text(cloud.run("ssh-config", "shared"))
    return path


def marker():
    """Return a word that no log has yet."""
    return "marker-" + "".join(random.choices(string.ascii_lowercase, k=16))


@contextmanager
def following(cloud, *words):
    """Follow the logs, and kill the command if it is still running at the end."""
    process = cloud.start("logs", "shared", "--follow", "--json", *words)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate(timeout=60)


def on_this_machine(*words, timeout=120):
    """Run a program that is not dask-bake."""
    return subprocess.run(words, capture_output=True, text=True, timeout=timeout, check=False)


def test_a_command_runs_on_all_nodes_and_the_exit_code_is_the_worst(cloud, cluster):
    """Each line has its node's name before it, on the stream that it was written to."""
    second = cluster["nodes"][1]["private_address"]
    third = cluster["nodes"][2]["private_address"]
    command = f"""
        echo "out of $(id -un)"; echo to stderr >&2
        case " $(hostname -I) " in *" {second} "*) exit 3;; *" {third} "*) exit 7;; esac
    """

    done = cloud.attempt("run", "shared", "--all", "--", command)

    assert done.returncode == 7
    assert sorted(done.stdout.splitlines()) == [f"{name} | out of admin" for name in NODES]
    errors = [line for line in done.stderr.splitlines() if "|" in line]
    assert sorted(errors) == [f"{name} | to stderr" for name in NODES]


def test_ctrl_c_ends_the_command_on_every_node(cloud, cluster, folder):
    """No process of it is left, and the message is one sentence."""
    command = f"mkdir {folder}; echo $$ >{folder}/pid; echo started; exec sleep 1000"
    process = cloud.start("run", "shared", "--all", "--", command)
    seen = [process.stdout.readline() for _ in NODES]
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)

    assert sorted(seen) == [f"{name} | started\n" for name in NODES]
    assert process.returncode == 130
    assert "Traceback" not in errors
    alive = f"kill -0 $(cat {folder}/pid) 2>/dev/null && echo alive || echo ended"
    output = cloud.run("run", "shared", "--all", "--", alive)
    assert sorted(output.splitlines()) == [f"{name} | ended" for name in NODES]


def test_files_go_to_all_nodes_and_come_back_by_globs(cloud, cluster, folder, tmp_path):
    """With --all each node gets what is sent, and gives what it has into a folder of its own."""
    source = tmp_path / "data"
    (source / "inner").mkdir(parents=True)
    content = random.randbytes(300_000)
    (source / "inner" / "numbers.bin").write_bytes(content)
    (source / "a.txt").write_text("a\n")
    (source / "b.txt").write_text("b\n")

    cloud.run("cp", "--all", str(source), f"shared:{folder}/")
    one, each = tmp_path / "one", tmp_path / "each"
    one.mkdir()
    cloud.run("cp", f"shared/2:{folder}/data/*.txt", str(one))
    cloud.run("cp", "--all", f"shared:{folder}/data/inner", f"{each}/")

    assert {path.name: path.read_text() for path in one.iterdir()} == {"a.txt": "a\n", "b.txt": "b\n"}
    found = {path.relative_to(each).as_posix(): path.read_bytes() for path in each.rglob("*.bin")}
    assert found == {f"{name}/inner/numbers.bin": content for name in NODES}


def test_a_path_that_is_not_there_is_one_sentence(cloud, cluster, tmp_path):
    done = cloud.attempt("cp", "shared:no-such-file", str(tmp_path))

    assert done.returncode == 1
    assert "no-such-file" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_ssh_scp_and_rsync_reach_every_node_by_its_name(cloud, cluster, config, folder, tmp_path):
    """With the printed entries alone; the nodes behind the head are reached through it."""
    file = tmp_path / "file"
    file.write_text("content\n")
    for index, name in enumerate(NODES):
        done = on_this_machine("ssh", "-F", config, name, f"mkdir -p {folder}; hostname -I")
        assert cluster["nodes"][index]["private_address"] in done.stdout.split(), done.stderr

    sent = on_this_machine("scp", "-F", config, file, f"shared-1:{folder}/by-scp")
    assert sent.returncode == 0, sent.stderr
    back = on_this_machine(
        "rsync", "-e", f"ssh -F {config}", f"shared-1:{folder}/by-scp", tmp_path / "by-rsync"
    )
    assert back.returncode == 0, back.stderr
    assert (tmp_path / "by-rsync").read_text() == "content\n"


def test_a_host_key_that_was_not_pinned_is_refused(cluster, config, tmp_path):
    """The entries know the keys that the launch pinned; with another key nothing is run."""
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    public = key.with_suffix(".pub").read_text().split()
    text = config.read_text()
    aliases = [line.split()[1] for line in text.splitlines() if line.split()[:1] == ["HostKeyAlias"]]
    known = tmp_path / "known_hosts"
    known.write_text("".join(f"{alias} {public[0]} {public[1]}\n" for alias in aliases))
    lines = (
        f'    UserKnownHostsFile "{known}"' if "UserKnownHostsFile" in line else line
        for line in text.splitlines()
    )
    config.write_text("\n".join(lines) + "\n")

    done = on_this_machine("ssh", "-F", config, "shared", "echo", "run")

    assert done.returncode == 255
    assert done.stdout == ""
    assert "Host key verification failed" in done.stderr


def test_logs_have_every_source_of_every_node(cloud, cluster):
    """Merged by time."""
    records = cloud.json("logs", "shared", "--lines", "2000")
    console = cloud.json("logs", "shared", "--source", "console")

    found = {(record["node"], record["source"]) for record in records}
    assert {*itertools.product(range(3), ("cloud-init", "dask"))} <= found
    assert {(record["node"], record["source"]) for record in console} == {
        (node, "console") for node in range(3)
    }
    times = [record["time"] for record in records]
    assert times == sorted(times)


def test_logs_are_followed_until_ctrl_c(cloud, cluster):
    """What is logged meanwhile is shown for each node; the exit code is 0, and nothing is left behind."""
    word = marker()
    with following(cloud, "--lines", "1") as process:
        lines = iter(process.stdout.readline, "")
        next(lines)  # all connections have begun once their last lines are there, or soon after
        cloud.on_head(PRINT_EVERYWHERE.format(text=word), name="shared")
        missing = {0, 1, 2}
        while missing:
            line = next(lines, None)
            assert line is not None, process.communicate(timeout=60)
            record = json.loads(line)
            if word in record["text"]:
                missing.discard(record["node"])
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)

    assert (process.returncode, "Traceback" in errors) == (0, False)
    # The bracket keeps pgrep from finding its own command line.
    left = "sudo pgrep -fc '[j]ournalctl.*--follow' || true"
    ended = [f"{name} | 0" for name in NODES]
    until(
        lambda: sorted(cloud.run("run", "shared", "--all", "--", left).splitlines()) == ended,
        timeout=60,
    )


def planted():
    """Return secrets of several kinds, made now, so that no file of the project has them."""
    letters = random.Random().choices
    mixed = string.ascii_letters + string.digits
    secret = "aB3" + "".join(letters(mixed, k=37))
    return {
        "access key": "AK" + "IA" + "".join(letters(string.ascii_uppercase + string.digits, k=16)),
        "secret key": secret,
        "token": "".join(letters(mixed, k=24)),
        "password": "pw" + "".join(letters(mixed, k=12)),
        "private key": "MIIE" + "".join(letters(mixed, k=60)),
    }


def test_a_bundle_has_the_logs_of_all_nodes_without_secrets(cloud, cluster, tmp_path):
    """Within half a minute for what it reads; what was logged beside the secrets is there."""
    if shutil.which("zstd") is None:
        pytest.skip("no zstd")
    word, secrets = marker(), planted()
    text = "\n".join(
        (
            word,
            f"key {secrets['access key']} and {secrets['secret key']}",
            f"GET http://127.0.0.1:8787/status?token={secrets['token']}",
            f"fetch https://anna:{secrets['password']}@example.com/simple",
            "-----BEGIN RSA " + "PRIVATE KEY-----",
            secrets["private key"],
            "-----END RSA " + "PRIVATE KEY-----",
        )
    )
    cloud.on_head(PRINT_EVERYWHERE.format(text=text), name="shared")
    file = tmp_path / "bundle.tar.zst"
    shown = cloud.run("logs", "shared", "--lines", "2000")
    cloud.run("logs", "shared", "--save", str(file))

    plain = tmp_path / "bundle.tar"
    subprocess.run(["zstd", "-q", "-d", file, "-o", plain], check=True)
    with tarfile.open(plain) as archive:
        members = [member for member in archive if member.isfile()]
        content = {member.name: archive.extractfile(member).read().decode() for member in members}
    assert all(secret in shown for secret in secrets.values())  # they were there to be found
    assert {name for name, text in content.items() if word in text} >= {
        f"bundle/{node}/dask.txt" for node in NODES
    }
    assert {f"bundle/{node}/{kind}.txt" for node in NODES for kind in ("console", "facts")} <= {*content}
    leaked = {kind: name for kind, secret in secrets.items() for name in content if secret in content[name]}
    assert leaked == {}
    assert file.stat().st_mode & 0o077 == 0
