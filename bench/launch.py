"""Measure EC2 calls, time and memory of launches of 9, 100 and 1000 nodes, with dask-bake and EC2Cluster.

It needs no root and takes some minutes on 2 cores, more at the first run, when pip installs EC2Cluster. Both
launchers talk to a moto server on loopback, a fresh one for each run, whose instances are running at once.
Nothing boots: the connection to the head is a fake, and EC2Cluster does not wait for its scheduler's port. So
the figures are those of the two launchers and of the API.
"""

import base64
import io
import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

HOME = Path(__file__).parents[1]
sys.path[:0] = [str(HOME / "launcher"), str(HOME / "tests/support")]

import boto3  # noqa: E402
from rich.table import Table  # noqa: E402

COUNTS = (9, 100, 1000)
NPROCS = 8
PEER = ("dask-cloudprovider[aws]==2025.9.0", "cryptography")
TYPE = "m6i.2xlarge"
NAMES = ("dask-bake", "EC2Cluster")
MIB = 1024
Runs = Mapping[tuple[str, int], Mapping[str, Any]]


def measure() -> dict[str, Mapping[str, Any]]:
    """Launch with both, and return the figures by launcher and number of nodes."""
    peer = peer_python()
    runs: dict[tuple[str, int], Mapping[str, Any]] = {}
    for count in COUNTS:
        runs["dask-bake", count] = measured([sys.executable, __file__, "launch", str(count)])
        runs["EC2Cluster", count] = measured([peer, str(HOME / "bench/ec2cluster.py"), str(count - 1)])
    runs["dask-bake --tls", COUNTS[0]] = measured(
        [sys.executable, __file__, "launch", str(COUNTS[0]), "--tls"]
    )
    return {f"{name} {count}": run for (name, count), run in runs.items()}


def tables(figures: Mapping[str, Mapping[str, Any]]) -> list[Table]:
    """Return the tables of calls and of costs."""
    runs = {(key.rpartition(" ")[0], int(key.rpartition(" ")[2])): run for key, run in figures.items()}
    compared = {(name, count): run for (name, count), run in runs.items() if name in NAMES}
    return [calls_table(compared), costs_table(runs)]


def calls_table(runs: Runs) -> Table:
    """Return a table of the number of calls of each operation."""
    table = Table("EC2 call", title="EC2 calls by number of nodes")
    for count in COUNTS:
        for name in NAMES:
            table.add_column(f"{name}\n{count}", justify="right")
    operations = sorted({name for run in runs.values() for name in run["calls"]})
    for operation in operations:
        table.add_row(operation, *(str(run["calls"].get(operation, "")) for run in runs.values()))
    table.add_row("all", *(str(sum(run["calls"].values())) for run in runs.values()), style="bold")
    return table


def costs_table(runs: Runs) -> Table:
    """Return a table of time, memory and bytes of user-data."""
    table = Table("", "nodes", title="one launch against moto, whose instances are running at once")
    for heading in ("seconds", "in moto, summed", "peak memory, MiB", "user-data: head", "worker"):
        table.add_column(heading, justify="right")
    for (name, count), run in runs.items():
        sizes = (str(run["user_data"].get(role, "")) for role in ("head", "worker"))
        table.add_row(
            name, str(count), f"{run['seconds']:.1f}", f"{run['moto']:.1f}", f"{run['peak']:.0f}", *sizes
        )
    return table


def measured(command: list[str]) -> Mapping[str, Any]:
    """Run a launcher, and return its figures and those of its server."""
    with subprocess.Popen(
        [sys.executable, __file__, "serve"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            done = subprocess.run(
                command, env=environment(server.stdout.readline().strip()), capture_output=True, text=True
            )
        finally:
            server.stdin.close()
        seen = json.loads(server.stdout.readline())
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.stderr}")
    return {**json.loads(done.stdout.splitlines()[-1]), **seen}


def environment(url: str) -> dict[str, str]:
    """Return variables with which an AWS client uses that server only."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def launch(count: int, *, tls: bool) -> None:
    """Launch against the server in the environment, and print time and memory."""
    from dask_bake import clouds
    from dask_bake.commands import launch as launch_command
    from dask_bake.ec2 import api as ec2
    from dask_bake.options.launch import LaunchOptions
    from dask_bake.options.parse import checked
    from dask_bake.view.terminal import Terminal
    from isolation import KEY_PAIR

    terminal, cloud = Terminal(), clouds.local_cloud(os.environ["AWS_ENDPOINT_URL"], KEY_PAIR, None)
    options = checked(
        LaunchOptions(
            count=count,
            nprocs=NPROCS,
            type=(TYPE,),
            cidr=("192.0.2.7/32",),
            tls=tls,
            allow_mismatch=True,
        )
    )
    start = time.monotonic()
    launch_command.run(
        options,
        cloud,
        ec2.connect(cloud, terminal.notify),
        terminal,
        dry_run=False,
        json_output=True,
        make_connection=lambda *_: AllThere(terminal),
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MIB
    print("\n" + json.dumps({"seconds": time.monotonic() - start, "peak": peak}))


class AllThere:
    """A connection to a head with which all workers have registered; it makes no EC2 calls."""

    trouble = ""

    def __init__(self, terminal: Any) -> None:
        self._terminal = terminal
        self._is_pinned = False

    def pin(self, *_: object) -> None:
        self._is_pinned = True

    def is_pinned(self, _: object) -> bool:
        return self._is_pinned

    def registered(self, _: object) -> Mapping[str, int]:
        return {node.private_address: NPROCS for node in self._terminal.last_seen.cluster.workers}

    def prepare(self) -> None:
        """Do nothing: there are no keys to keep."""

    close = forget = prepare


class Counting:
    """moto's EC2 as a WSGI application that counts its requests."""

    def __init__(self) -> None:
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

        self._moto = DomainDispatcherApplication(create_backend_app)
        self._lock = threading.Lock()
        self.forget()

    def forget(self) -> None:
        """Reset the counts."""
        self.calls: Counter[str] = Counter()
        self.user_data: dict[str, int] = {}
        self.seconds = 0.0

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        parameters = dict(parse_qsl(body.decode()))
        action = parameters.get("Action", environ["PATH_INFO"])
        with self._lock:
            self.calls[action] += 1
            if "UserData" in parameters:
                role = "worker" if "head" in self.user_data else "head"
                self.user_data[role] = len(base64.b64decode(parameters["UserData"]))
        if action == "GetConsoleOutput":
            return console(start_response)
        start = time.monotonic()
        answer = self._moto({**environ, "wsgi.input": io.BytesIO(body)}, start_response)
        with self._lock:
            self.seconds += time.monotonic() - start
        return answer


def console(start_response: Any) -> list[bytes]:
    """Return a console with a host key; moto's is a fixed text."""
    from fakes import CONSOLE

    output = base64.b64encode(CONSOLE.encode()).decode()
    start_response("200 OK", [("Content-Type", "text/xml")])
    body = f"<requestId>moto</requestId><output>{output}</output>"
    return [f"<GetConsoleOutputResponse>{body}</GetConsoleOutputResponse>".encode()]


def serve() -> None:
    """Serve until standard input ends, then print the counts."""
    from werkzeug.serving import make_server

    app = Counting()
    server = make_server("127.0.0.1", 0, app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    prepare(url)
    app.forget()
    print(url, flush=True)
    sys.stdin.read()
    print(json.dumps({"calls": app.calls, "user_data": app.user_data, "moto": app.seconds}))


def prepare(url: str) -> None:
    """Register a verified image, and for the peer Canonical's image and the group that it fails to make."""
    from moto.core import DEFAULT_ACCOUNT_ID
    from moto.ec2.models import ec2_backends

    from dask_bake.models.tags import Tag, Verified

    os.environ.update(environment(url))
    ec2 = boto3.client("ec2")
    image = ec2.register_image(Name="dask-1", RootDeviceName="/dev/xvda")["ImageId"]
    tags = {Tag.MANAGED: "true", Tag.USER: "admin", Tag.VERIFIED: str(Verified.YES)}
    ec2.create_tags(Resources=[image], Tags=[{"Key": key, "Value": value} for key, value in tags.items()])
    name, canonical = "ubuntu/images/hvm-ssd/ubuntu-focal-20.04-amd64-server-1", "099720109477"
    ubuntu = ec2.register_image(Name=name, RootDeviceName="/dev/sda1", Architecture="x86_64")["ImageId"]
    ec2_backends[DEFAULT_ACCOUNT_ID]["us-east-1"].amis[ubuntu].owner_id = canonical
    ec2.create_security_group(GroupName="dask-default", Description="of EC2Cluster")


def peer_python() -> str:
    """Return the Python of an environment with dask-cloudprovider, cached for the user."""
    from dask_bake.system import xdg

    cache = xdg.cache_home(os.environ) / "dask-bake" / "bench-peer"
    python = cache / "bin/python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(cache)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PEER], check=True)
    return str(python)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["launch", number, *words]:
            launch(int(number), tls="--tls" in words)
        case ["serve"]:
            serve()
        case _:
            sys.exit("make bench runs it")
