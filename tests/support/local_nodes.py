"""Run commands on a cluster's nodes with the ssh command of ``dask-bake ssh``."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from dask_bake import clouds
from dask_bake.clusters.inventory import find
from dask_bake.ec2 import api
from dask_bake.local.credentials import read_credentials
from dask_bake.ssh.command import Host, shell_command
from dask_bake.ssh.connect import find_node, prepare_host
from local_cloud import SETTINGS, LocalCloud

BEGIN = "import json, os, time\nfrom distributed import Client, worker_client\nclient = Client(timeout=30)\n"


@dataclass(frozen=True)
class Nodes:
    """A cluster's nodes by number; 0 is the head. Commands do not start dask-bake each time."""

    cloud: LocalCloud
    name: str
    _hosts: dict[str, Host] = field(default_factory=dict)

    def attempt(self, node: str, *words: str, text: str = "") -> "subprocess.CompletedProcess[str]":
        """Run a command that may fail."""
        if node not in self._hosts:
            self._hosts[node] = host_of(self.cloud, self.name, int(node))
        command = shell_command(self._hosts[node], words, is_terminal=False)
        return subprocess.run(command, input=text, capture_output=True, text=True, timeout=120, check=False)

    def run(self, node: str, *words: str, text: str = "") -> str:
        """Return the output of a command that must not fail."""
        done = self.attempt(node, *words, text=text)
        assert done.returncode == 0, f"{words} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def fails(self, node: str, *words: str) -> bool:
        """Return whether the command ends with exit code 1."""
        return self.attempt(node, *words).returncode == 1

    def compute(self, code: str) -> Any:
        """Run code with a Dask ``client`` on the head and return the JSON that it prints."""
        return json.loads(self.run("0", "python", "-", text=BEGIN + code))

    def states(self, node: str, *units: str) -> list[str]:
        """Return systemd's states of these units."""
        return self.attempt(node, "systemctl", "is-active", *units).stdout.split()

    def failed_units(self, node: str) -> str:
        """Return the failed units."""
        return self.run(node, "systemctl", "--failed", "--quiet", "--no-legend", "--plain")


def host_of(cloud: LocalCloud, name: str, index: int) -> Host:
    """Return how dask-bake connects that user to a cluster's node."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", cloud.environment["XDG_STATE_HOME"])
        there = clouds.local_cloud(SETTINGS.url, read_credentials(SETTINGS), None)
        edge = api.connect(there, lambda _: None)
        cluster = find(edge, there, name)
        return prepare_host(cluster, find_node(cluster, index), there, edge)


def launched(cloud: LocalCloud, image: str, name: str, *words: str) -> Iterator[Nodes]:
    """Launch a head and a worker node, and take them down afterwards."""
    with cloud.launched(name, "--count", "2", "--ami", image, *words):
        yield Nodes(cloud, name)
