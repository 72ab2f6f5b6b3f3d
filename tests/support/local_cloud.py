"""What the local cloud's tests share: the command line in a home of its own, and what is on the machine."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import EndpointConnectionError

from dask_bake.local.machines.cgroups import hierarchies
from local_claims import Command, Seen, Watch, look

NAME = "dask-bake-test"
PORT = "5666"
ROOT = Path("/var/lib/dask-bake-test")
RUNTIME = Path(f"/run/dask-bake.{NAME}")
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
        told, said = super().communicate(*arguments, **options)
        WATCH.end(self._command, self.returncode, told, said)
        return told, said


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
            "XDG_STATE_HOME": str(self.home / "state"),
            "XDG_CONFIG_HOME": str(self.home / "config"),
        }

    @property
    def cache(self) -> Path:
        """Where bakes work and keep what they downloaded: the user's own, so nothing is brought twice."""
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dask-bake"

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

    def files_outside_the_cache(self) -> list[str]:
        """What a local cloud that is down should not have left."""
        kept = {"images", "layers", "snapshots", "samples", "server.log", "instances"}
        inside = [path.name for path in self.root.iterdir() if path.name not in kept]
        instances = [path.name for path in (self.root / "instances").glob("*")]
        outside = [str(path) for path in (RUNTIME, Path("/run/systemd/nspawn")) if _holds_ours(path)]
        return inside + instances + outside


def _holds_ours(path: Path) -> bool:
    if path == RUNTIME:
        return path.exists()
    return any(NAME in child.name for child in path.rglob("*")) if path.exists() else False


def until(condition: Callable[[], object], *, timeout: float) -> None:
    """Return once the condition holds."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout} s in vain"
        time.sleep(0.05)


def machine_state() -> dict[str, list[str]]:
    """What the local cloud could leave on a machine: interfaces, rules, mounts, processes, control groups."""
    return {
        "interfaces": sorted(path.name for path in Path("/sys/class/net").iterdir()),
        "firewall": sorted(_lines("nft", "list", "tables")),
        "mounts": sorted(line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()),
        "processes": sorted(_our_processes()),
        "control groups": sorted(
            path.name for hierarchy in hierarchies() for path in hierarchy.iterdir() if path.is_dir()
        ),
        "namespaces": sorted(_lines("ip", "netns", "list")),
    }


def _lines(*command: str) -> list[str]:
    privilege = [] if os.geteuid() == 0 else ["sudo", "-n"]
    done = subprocess.run([*privilege, *command], capture_output=True, text=True, check=False)
    return done.stdout.splitlines()


def _our_processes() -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").replace("\0", " ")
        except OSError:
            continue
        if any(
            ours in words for ours in (f"{NAME}-i-", str(RUNTIME), "dask_bake.local.server", "packer build")
        ):
            found.append(words)
    return found
