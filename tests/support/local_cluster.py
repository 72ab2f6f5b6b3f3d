"""A cluster for one test module: its nodes, auto-shutdown timers and consoles."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from local_cloud import LocalCloud
from local_nodes import Nodes

STATE = "/run/dask-bake/switches.json"
AS_USER = ("sudo", "systemd-run", "--quiet", "--uid=admin", "--setenv=HOME=/home/admin")
"""Run a command of the user without an SSH session."""
PYTHON = ("/opt/dask/bin/python", "-c")
UNTIL = """
def addresses(host):
    info = client.scheduler_info(n_workers=-1)["workers"]
    return {address for address, worker in info.items() if worker["host"] == host}

begin = time.monotonic()
while not (CONDITION):
    assert time.monotonic() < begin + TIMEOUT, client.scheduler_info(n_workers=-1)["workers"].keys()
    time.sleep(0.05)
print(json.dumps(time.monotonic() - begin))
"""
PROCESSES = """
def processes(host, dask_scheduler):
    return {address: worker.pid for address, worker in dask_scheduler.workers.items() if worker.host == host}

print(json.dumps(client.run_on_scheduler(processes, HOST)))
"""
"""What the scheduler knows: a process that was just replaced may be replaced once more, and not answer."""


@dataclass(frozen=True)
class LocalCluster:
    """A launched cluster; node 0 is the head."""

    cloud: LocalCloud
    launched: dict[str, Any]
    nodes: Nodes = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "nodes", Nodes(self.cloud, self.name))

    @property
    def name(self) -> str:
        """The cluster's name."""
        return str(self.launched["name"])

    @property
    def ids(self) -> list[str]:
        """The instance ids, the head's first."""
        return [node["id"] for node in self.launched["nodes"]]

    def host(self, node: int) -> str:
        """Return a node's private address, which names its workers."""
        return str(self.launched["nodes"][node]["private_address"])

    def run(self, node: int, *words: str, text: str = "") -> str:
        """Return the output of a command on a node."""
        return self.nodes.run(str(node), *words, text=text)

    def tune(self, node: int, **limits: float) -> None:
        """Change the limits of a node's watch, and restart it."""
        lines = "".join(f"DASK_BAKE_{name.upper()}={value}\n" for name, value in limits.items())
        script = f"cat >>/etc/dask-bake/limits.env; rm -f {STATE}; systemctl restart dask-bake-watch"
        self.run(node, "sudo", "sh", "-c", script, text=lines)

    def switch(self, name: str) -> dict[str, Any]:
        """Return an auto-shutdown timer, as written by the head's watch."""
        state = json.loads(self.run(0, "cat", STATE))
        return next(one for one in state["switches"] if one["name"] == name)

    def compute(self, code: str) -> Any:
        """Run code with a Dask ``client`` on the head and return the JSON that it prints."""
        return self.nodes.compute(code)

    def until(self, condition: str, *, timeout: float) -> float:
        """Wait until a Python expression holds on the head, and return the seconds.

        The expression can call ``addresses(host)``.
        """
        code = UNTIL.replace("CONDITION", condition).replace("TIMEOUT", str(timeout))
        return float(self.compute(code))

    def processes(self, node: int) -> dict[str, int]:
        """Return the worker processes of a node by their addresses."""
        return dict(self.compute(f"HOST = {self.host(node)!r}" + PROCESSES))

    def main_process(self, node: int, unit: str) -> int:
        """Return the unit's main process."""
        return int(self.run(node, "systemctl", "show", "--property=MainPID", "--value", unit))

    def live(self) -> list[str]:
        """Return the instances that have not ended."""
        alive = self.cloud.live_instances()
        return [name for name in self.ids if name in alive]

    def console_lines(self, node: int) -> list[str]:
        """Return the lines of dask-bake on a node's console."""
        output = self.cloud.ec2().get_console_output(InstanceId=self.ids[node]).get("Output", "")
        return [line.strip() for line in output.splitlines() if line.startswith("DASK-BAKE-")]


def started(cloud: LocalCloud, image: str, name: str, *words: str) -> Iterator[LocalCluster]:
    """Launch a cluster, and take it down afterwards."""
    with cloud.launched(name, "--ami", image, *words) as launched:
        yield LocalCluster(cloud, launched)
