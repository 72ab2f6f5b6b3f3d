"""What the local cloud's tests share: the command line in a home of its own, and what is on the machine.

Each process that runs tests has a local cloud of its own. All begin with what earlier runs have kept.
"""

import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import EndpointConnectionError

from dask_bake.local.machines.cgroups import hierarchies
from local_claims import Command, Seen, Watch, look

NUMBER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
"""The number of this process among those of pytest-xdist."""
NAME = f"dask-bake-t{NUMBER}"
PORT = str(5690 + NUMBER)
ROOT = Path(f"/var/lib/{NAME}")
RUNTIME = Path(f"/run/dask-bake.{NAME}")
KEPT = Path("/var/lib/dask-bake-tests")
"""What all processes start with and later runs too: hard links to the files of a local cloud's root."""
USERS_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
CACHE = USERS_CACHE / "dask-bake-test" / NAME
"""The cache of bakes. Downloads are linked to the user's own, so nothing is downloaded twice."""
DOWNLOADS = ("conda", "packer", "repodata", "wheels")
LONGEST = 360
"""Seconds for a command: a launch that takes long ends itself before, and says why."""


@cache
def past_faults() -> Any:
    """boto3's client for what there is, whatever faults are in force."""
    return boto3.client(
        "ec2",
        endpoint_url=f"http://127.0.0.1:{PORT}/_dask_bake/ec2",
        region_name="us-east-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
        config=Config(retries={"total_max_attempts": 1}),
    )


def seen() -> Seen:
    """What there is in the local cloud: without one, nothing."""
    try:
        return look(past_faults())
    except EndpointConnectionError:
        return Seen(is_up=False)


WATCH = Watch(seen)
"""One for the commands of all users: there is one local cloud."""


class Started(subprocess.Popen[str]):
    """A command that goes on; once it is known to have ended it is held to what it claims."""

    def __init__(self, command: Command | None, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._command = command
        STARTED.append(self)

    def communicate(self, *arguments: Any, **options: Any) -> tuple[str, str]:
        """What it wrote that nobody has read, when it has ended."""
        stdout, stderr = super().communicate(*arguments, **options)
        WATCH.end(self._command, self.returncode, stdout, stderr)
        return stdout, stderr


STARTED: list[Started] = []


def interrupt_what_goes_on() -> None:
    """Ends the commands that a test has started and not seen end."""
    while STARTED:
        process = STARTED.pop()
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=120)


@dataclass(frozen=True)
class LocalCloud:
    """A local cloud under a name of its own, reached as a user does: by ``dask-bake``."""

    home: Path
    root: Path = ROOT

    @property
    def environment(self) -> dict[str, str]:
        """A user's environment without AWS credentials."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("AWS_", "DASK_"))}
        return {
            **kept,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": str(self.home / "none"),
            "AWS_SHARED_CREDENTIALS_FILE": str(self.home / "none"),
            "COLUMNS": "80",
            "DASK_BAKE_INSTALLER": "pip",
            "DASK_BAKE_LOCAL_NAME": NAME,
            "DASK_BAKE_LOCAL_PORT": PORT,
            "DASK_BAKE_LOCAL_ROOT": str(self.root),
            "XDG_CACHE_HOME": str(CACHE),
            "XDG_STATE_HOME": str(self.home / "state"),
            "XDG_CONFIG_HOME": str(self.home / "config"),
        }

    @property
    def cache(self) -> Path:
        """Where bakes work."""
        return CACHE / "dask-bake"

    def begin(self) -> None:
        """Start it with the image of earlier runs, or bake one while the other processes wait."""
        self.run("local", "down")  # what an earlier run has left that was killed
        shutil.rmtree(CACHE, ignore_errors=True)
        self.cache.mkdir(parents=True)
        for name in DOWNLOADS:
            (USERS_CACHE / "dask-bake" / name).mkdir(parents=True, exist_ok=True)
            (self.cache / name).symlink_to(USERS_CACHE / "dask-bake" / name)
        with one_at_a_time():
            link_folders(KEPT, self.root)
            if self.json("bake", timeout=900)["built"]:
                self.run("images", "prune", "--keep", "1", "--yes")
                link_folders(self.root, KEPT)

    def end(self) -> None:
        """Stop it and remove its cache; keep the sample data."""
        self.run("local", "down")
        shutil.rmtree(CACHE)
        with one_at_a_time():
            if not (KEPT / "samples").exists():
                link_folders(self.root, KEPT)

    def command(self, *words: str) -> list[str]:
        """The command line."""
        return [sys.executable, "-m", "dask_bake", *words]

    def start(self, *words: str, **environment: str) -> Started:
        """Start a command, to be interrupted, or to go on beside others."""
        return Started(
            WATCH.begin(words),
            self.command(*words),
            env={**self.environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def attempt(
        self, *words: str, timeout: float = LONGEST, text: str = "", **environment: str
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command that may fail."""
        command = WATCH.begin(words)
        try:
            done = subprocess.run(
                self.command(*words),
                env={**self.environment, **environment},
                input=text,
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
            )
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            WATCH.end(command, -signal.SIGKILL, "", "")
            raise
        WATCH.end(command, done.returncode, done.stdout, done.stderr)
        return done

    def run(self, *words: str, timeout: float = LONGEST, text: str = "") -> str:
        """What a command printed that must not fail."""
        done = self.attempt(*words, timeout=timeout, text=text)
        assert done.returncode == 0, f"{words} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def json(self, *words: str, timeout: float = LONGEST) -> Any:
        """What a command printed as JSON."""
        return json.loads(self.run(*words, "--json", timeout=timeout))

    def on_head(self, code: str, *, name: str) -> str:
        """What Python code printed that ran on a cluster's head."""
        return self.run("ssh", "--name", name, "--", "python -", text=code)

    def python(self, *words: str) -> str:
        """What Python printed that ran on this machine, as the user."""
        done = subprocess.run(
            [sys.executable, *words],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def ec2(self) -> Any:
        """boto3's client for this cloud."""
        return boto3.client(
            "ec2",
            endpoint_url=f"http://127.0.0.1:{PORT}",
            region_name="us-east-1",
            aws_access_key_id="local",
            aws_secret_access_key="local",
        )

    def fault(self, kind: str, *options: str) -> str:
        """Puts a fault rule in force, as ``dask-bake local fault add`` does; its id."""
        return self.run("local", "fault", "add", kind, *options).strip()

    def bring_up(self) -> None:
        """Starts the local cloud if a test has ended it."""
        if not seen().is_up:
            self.run("local", "up")

    def clear_faults(self) -> None:
        """Takes all fault rules out of force."""
        self.run("local", "fault", "clear")

    def live_instances(self) -> list[str]:
        """The ids of the instances that are not terminated."""
        reservations = self.ec2().describe_instances()["Reservations"]
        instances = [instance for reservation in reservations for instance in reservation["Instances"]]
        return [instance["InstanceId"] for instance in instances if instance["State"]["Name"] != "terminated"]

    def groups(self) -> list[str]:
        """The names of the security groups that somebody made."""
        groups = self.ec2().describe_security_groups()["SecurityGroups"]
        return [group["GroupName"] for group in groups if group["GroupName"] != "default"]

    def secrets(self) -> list[str]:
        """The folders with a cluster's secrets on this machine."""
        folder = self.home / "state" / "dask-bake"
        return sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.exists() else []

    def left_over(self) -> list[str]:
        """Return what a stopped local cloud has left behind, apart from its images."""
        kept = {*OUTLIVING, "server.log", "instances"}
        return [
            *(path.name for path in self.root.iterdir() if path.name not in kept),
            *(path.name for path in (self.root / "instances").glob("*")),
            *(
                str(path)
                for path in (RUNTIME, *Path("/run/systemd/nspawn").rglob(f"{NAME}-i-*"))
                if path.exists()
            ),
            *left_on_machine(),
        ]


def link_folders(source: Path, target: Path) -> None:
    """Make the target hold what outlives a local cloud in the source, as hard links."""
    as_root("sh", "-c", LINK, "link", str(source), str(target), *OUTLIVING)


LINK = """
set -eu
source=$1 target=$2; shift 2
rm -rf "$target.new" "$target.old"
mkdir -p "$target.new"
for name; do [ ! -d "$source/$name" ] || cp --archive --link "$source/$name" "$target.new"; done
[ ! -d "$target" ] || mv "$target" "$target.old"
mv "$target.new" "$target"
rm -rf "$target.old"
"""
OUTLIVING = ("images", "layers", "samples", "snapshots")


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Let one process in at a time."""
    CACHE.parent.mkdir(parents=True, exist_ok=True)
    with (CACHE.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def as_root(*command: str) -> str:
    """Return the output of a command that needs root."""
    privilege = [] if os.geteuid() == 0 else ["sudo", "-n"]
    return subprocess.run([*privilege, *command], capture_output=True, text=True, check=True).stdout


def until(condition: Callable[[], object], *, timeout: float, but: Callable[[], object] = str) -> None:
    """Return once the condition holds; if it never does, fail with what there was instead."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout} s in vain {but()}"
        time.sleep(0.05)


def left_on_machine() -> list[str]:
    """Return what of this local cloud is on the machine, and cables of no bridge, whosever they are."""
    interfaces = Path("/sys/class/net")
    groups = (path for hierarchy in hierarchies() for path in hierarchy.glob(f"{NAME}-*"))
    return [
        *(path.name for path in interfaces.iterdir() if path.name == NAME or _hangs_loose(path)),
        *(str(path) for path in interfaces.glob(f"{NAME}/brif/*")),
        *(
            line
            for line in as_root("nft", "list", "tables").splitlines()
            if NAME.replace("-", "_") in line.split()
        ),
        *(
            line
            for line in Path("/proc/mounts").read_text().splitlines()
            if str(ROOT) in line or NAME in line
        ),
        *(str(path) for path in groups),
        *as_root("sh", "-c", PROCESSES, "processes", NAME).splitlines(),
    ]


PROCESSES = r"""
for process in /proc/[0-9]*; do
    grep -qzxF "DASK_BAKE_LOCAL_NAME=$1" "$process/environ" ||
        grep -qzF -e "$1-i-" -e "dask-bake.$1/" "$process/cmdline" || continue
    tr '\0' ' ' <"$process/cmdline"
    echo
done 2>/dev/null
"""
"""Print the processes with our name in their environment, or with a machine or file of ours as argument."""


def _hangs_loose(interface: Path) -> bool:
    return (
        re.fullmatch("(vb|ens)[0-9a-f]{12}", interface.name) is not None
        and not (interface / "master").exists()
    )
