"""The local cloud of the integration tests: its command line as a user has it, and what it leaves behind.

Each process of pytest-xdist has its own local cloud, which starts with the image of earlier runs.
"""

import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import EndpointConnectionError

from command_check import Command, State, Watch, look
from dask_bake.errors import BakeError
from dask_bake.local.credentials import Credentials, read_credentials
from dask_bake.local.machines.cgroups import hierarchies
from dask_bake.local.settings import Settings
from root import run_as_root

NUMBER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
"""The number of this process among those of pytest-xdist."""
NAME = f"dask-bake-t{NUMBER}"
PORT = str(5690 + NUMBER)
ROOT = Path(f"/var/lib/{NAME}")
RUNTIME = Path(f"/run/dask-bake.{NAME}")
KEPT = Path("/var/lib/dask-bake-tests-2")
"""Images and samples for all processes and later runs: hard links to files of a local cloud."""
USERS_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
CACHE = USERS_CACHE / "dask-bake-test" / NAME
"""The cache of bakes. Downloads are linked to the user's own, so nothing is downloaded twice."""
DOWNLOADS = ("conda", "packer", "repodata", "wheels")
COMMAND_TIMEOUT = 360
"""Time-out of a command in seconds; a slow launch reaches its own deadline before, and explains itself."""


SETTINGS = Settings(NAME, ROOT, int(PORT))


@cache
def client(credentials: Credentials, path: str = "") -> Any:
    """Return a boto3 client of the local cloud while it has these credentials."""
    return boto3.client(
        "ec2",
        endpoint_url=f"{SETTINGS.url}{path}",
        region_name="us-east-1",
        aws_access_key_id=credentials.access_key,
        aws_secret_access_key=credentials.secret_key,
        config=Config(retries={"total_max_attempts": 1}),
    )


def state() -> State:
    """Return the local cloud's state, which no fault rule affects; empty if it is down."""
    try:
        return look(client(read_credentials(SETTINGS), "/_dask_bake/ec2"))
    except (EndpointConnectionError, BakeError):
        return State(is_up=False)


WATCH = Watch(state)
"""One for the commands of all users, because there is one local cloud."""


class RunningCommand(subprocess.Popen[str]):
    """A running command; when it has ended, its result is checked."""

    def __init__(self, command: Command | None, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._command = command
        RUNNING.append(self)

    def communicate(self, *arguments: Any, **options: Any) -> tuple[str, str]:
        """Wait for the end, and return the unread output."""
        stdout, stderr = super().communicate(*arguments, **options)
        WATCH.end(self._command, self.returncode, stdout, stderr)
        return stdout, stderr


RUNNING: list[RunningCommand] = []


def interrupt_running_commands() -> None:
    """Interrupt the commands that a test has started and not waited for."""
    while RUNNING:
        process = RUNNING.pop()
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=120)


@dataclass(frozen=True)
class LocalCloud:
    """The local cloud with its own name, used as by a user: with ``dask-bake``."""

    home: Path
    root: Path = ROOT

    @property
    def environment(self) -> dict[str, str]:
        """A user's environment without AWS credentials."""
        dropped = ("AWS_", "DASK_")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(dropped) and k != "CI"}
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
        """The folder of bakes."""
        return CACHE / "dask-bake"

    def begin(self) -> None:
        """Start the cloud with the image of earlier runs; without one bake it, while other processes wait."""
        self.run("local", "down")  # leftovers of an earlier run that was killed
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
        """Return the command line."""
        return [sys.executable, "-m", "dask_bake", *words]

    def start(self, *words: str, **environment: str) -> RunningCommand:
        """Start a command in the background."""
        return RunningCommand(
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
        self, *words: str, timeout: float = COMMAND_TIMEOUT, text: str = "", **environment: str
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

    def run(self, *words: str, timeout: float = COMMAND_TIMEOUT, text: str = "") -> str:
        """Return the output of a command that must not fail."""
        done = self.attempt(*words, timeout=timeout, text=text)
        assert done.returncode == 0, f"{words} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def json(self, *words: str, timeout: float = COMMAND_TIMEOUT) -> Any:
        """Return the JSON that a command prints."""
        return json.loads(self.run(*words, "--json", timeout=timeout))

    def on_head(self, code: str, *, name: str) -> str:
        """Run Python code on a cluster's head and return its output."""
        return self.run("ssh", "--name", name, "--", "python -", text=code)

    def python(self, *words: str) -> str:
        """Run Python on this machine as the user and return its output."""
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
        """Return a boto3 client of this cloud."""
        return client(read_credentials(SETTINGS))

    def fault(self, kind: str, *options: str) -> str:
        """Add a fault rule with ``dask-bake local fault add`` and return its id."""
        return self.run("local", "fault", "add", kind, *options).strip()

    def bring_up(self) -> None:
        """Start the local cloud if a test has stopped it."""
        if not state().is_up:
            self.run("local", "up")

    def clear_faults(self) -> None:
        """Remove all fault rules."""
        self.run("local", "fault", "clear")

    @contextmanager
    def launched(self, name: str, *words: str) -> Iterator[dict[str, Any]]:
        """Launch a cluster, yield the launch's JSON, and take the cluster down."""
        yield self.json("launch", "--name", name, *words)
        self.run("down", name)

    def live_instances(self) -> list[str]:
        """Return the ids of the instances that are not terminated."""
        reservations = self.ec2().describe_instances()["Reservations"]
        instances = [instance for reservation in reservations for instance in reservation["Instances"]]
        return [instance["InstanceId"] for instance in instances if instance["State"]["Name"] != "terminated"]

    def groups(self) -> list[str]:
        """Return the names of the security groups other than the default ones."""
        groups = self.ec2().describe_security_groups()["SecurityGroups"]
        return [group["GroupName"] for group in groups if group["GroupName"] != "default"]

    def secrets(self) -> list[str]:
        """Return the folders of clusters' keys on this machine."""
        folder = self.home / "state" / "dask-bake"
        names = {path.name for path in folder.iterdir() if path.is_dir()} if folder.exists() else set()
        return sorted(names - {"ended"})  # that folder has logs

    def secrets_of(self, name: str) -> Path:
        """Return the folder of that cluster's keys."""
        (folder,) = (self.home / "state" / "dask-bake").glob(f"local-*-{name}-" + 12 * "[0-9a-f]")
        return folder

    def leftovers(self) -> list[str]:
        """Return what a stopped local cloud has left behind, apart from its images."""
        kept = {*OUTLIVING, "server.log", "instances"}
        return [
            *(path.name for path in self.root.iterdir() if path.name not in kept),
            *run_as_root("find", str(self.root / "instances"), "-mindepth", "1", "-maxdepth", "1").split(),
            *(
                str(path)
                for path in (RUNTIME, *Path("/run/systemd/nspawn").rglob(f"{NAME}-i-*"))
                if path.exists()
            ),
            *left_on_machine(),
        ]


def link_folders(source: Path, target: Path) -> None:
    """Replace the target with hard links to the images, layers, samples and snapshots of the source."""
    run_as_root("sh", "-c", LINK, "link", str(source), str(target), *OUTLIVING)


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
    """Hold a lock that one process at a time can have."""
    CACHE.parent.mkdir(parents=True, exist_ok=True)
    with (CACHE.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def left_on_machine() -> list[str]:
    """Return what this local cloud has left on the machine, and any network cable without a bridge."""
    interfaces = Path("/sys/class/net")
    groups = (path for hierarchy in hierarchies() for path in hierarchy.glob(f"{NAME}-*"))
    return [
        *(path.name for path in interfaces.iterdir() if path.name == NAME or _hangs_loose(path)),
        *(str(path) for path in interfaces.glob(f"{NAME}/brif/*")),
        *(
            line
            for line in run_as_root("nft", "list", "tables").splitlines()
            if NAME.replace("-", "_") in line.split()
        ),
        *(
            line
            for line in Path("/proc/mounts").read_text().splitlines()
            if str(ROOT) in line or NAME in line
        ),
        *(str(path) for path in groups),
        *run_as_root("sh", "-c", PROCESSES, "processes", NAME).splitlines(),
    ]


PROCESSES = r"""
for process in /proc/[0-9]*; do
    grep -qzxF "DASK_BAKE_LOCAL_NAME=$1" "$process/environ" ||
        grep -qzF -e "$1-i-" -e "dask-bake.$1/" "$process/cmdline" || continue
    tr '\0' ' ' <"$process/cmdline"
    echo
done 2>/dev/null
"""
"""Print processes with the cloud's name in their environment, or its machines or files as arguments."""


def _hangs_loose(interface: Path) -> bool:
    return (
        re.fullmatch("(vb|ens)[0-9a-f]{12}", interface.name) is not None
        and not (interface / "master").exists()
    )
