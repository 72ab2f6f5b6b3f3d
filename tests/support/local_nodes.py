"""The nodes of a cluster, reached by the ssh that ``dask-bake ssh`` becomes."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from dask_bake import clouds
from dask_bake.clusters.inventory import find
from dask_bake.ec2 import api
from dask_bake.ssh.command import Host, shell_command
from dask_bake.ssh.connect import find_node, prepare_host
from local_cloud import PORT, LocalCloud

BEGIN = "import json, os, time\nfrom distributed import Client, worker_client\nclient = Client(timeout=30)\n"


@dataclass(frozen=True)
class Nodes:
    """A cluster's nodes, by ssh; 0 is the head. dask-bake itself is not started each time."""

    cloud: LocalCloud
    name: str
    _hosts: dict[str, Host] = field(default_factory=dict)

    def attempt(self, node: str, *words: str, text: str = "") -> "subprocess.CompletedProcess[str]":
        """Run a command there that may fail."""
        if node not in self._hosts:
            self._hosts[node] = host_of(self.cloud, self.name, int(node))
        command = shell_command(self._hosts[node], words, is_terminal=False)
        return subprocess.run(command, input=text, capture_output=True, text=True, timeout=120, check=False)

    def run(self, node: str, *words: str, text: str = "") -> str:
        """What a command printed there."""
        done = self.attempt(node, *words, text=text)
        assert done.returncode == 0, f"{words} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def fails(self, node: str, *words: str) -> bool:
        """Whether a command cannot do there what it should."""
        return self.attempt(node, *words).returncode == 1

    def compute(self, code: str) -> Any:
        """What code on the head printed as JSON that has a `client`."""
        return json.loads(self.run("0", "python", "-", text=BEGIN + code))

    def states(self, node: str, *units: str) -> list[str]:
        """Whether these units are active."""
        return self.attempt(node, "systemctl", "is-active", *units).stdout.split()

    def failed_units(self, node: str) -> str:
        """The units that failed."""
        return self.run(node, "systemctl", "--failed", "--quiet", "--no-legend", "--plain")


def host_of(cloud: LocalCloud, name: str, index: int) -> Host:
    """A cluster's node as dask-bake reaches it for that user."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", cloud.environment["XDG_STATE_HOME"])
        there = clouds.local_cloud(f"http://127.0.0.1:{PORT}", None)
        edge = api.connect(there, lambda _: None)
        cluster = find(edge, there, name)
        return prepare_host(cluster, find_node(cluster, index), there, edge)


def launched(cloud: LocalCloud, image: str, name: str, *words: str) -> Iterator[Nodes]:
    """A head and a worker node of that name, taken down afterwards."""
    cloud.json("launch", "--name", name, "--count", "2", "--ami", image, *words)
    yield Nodes(cloud, name)
    cloud.run("down", name)
