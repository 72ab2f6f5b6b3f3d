"""The nodes of a cluster of a test's own, reached by ``dask-bake ssh``."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from local_cloud import LocalCloud

BEGIN = "import json\nfrom distributed import Client, worker_client\nclient = Client(timeout=30)\n"


@dataclass(frozen=True)
class Nodes:
    """A cluster's nodes, by ssh; 0 is the head."""

    cloud: LocalCloud
    name: str

    def run(self, node: str, *words: str, text: str = "") -> str:
        """What a command printed there."""
        return self.cloud.run("ssh", "--name", self.name, node, "--", *words, text=text)

    def fails(self, node: str, *words: str) -> bool:
        """Whether a command cannot do there what it should."""
        return self.cloud.attempt("ssh", "--name", self.name, node, "--", *words).returncode == 1

    def compute(self, code: str) -> Any:
        """What code on the head printed as JSON that has a `client`."""
        return json.loads(self.run("0", "python", "-", text=BEGIN + code))

    def states(self, node: str, *units: str) -> list[str]:
        """Whether these units are active."""
        shown = self.cloud.attempt("ssh", "--name", self.name, node, "--", "systemctl", "is-active", *units)
        return shown.stdout.split()

    def failed_units(self, node: str) -> str:
        """The units that failed."""
        return self.run(node, "systemctl", "--failed", "--quiet", "--no-legend", "--plain")


def launched(cloud: LocalCloud, image: str, name: str, *words: str) -> Iterator[Nodes]:
    """A head and a worker node of that name, taken down afterwards."""
    cloud.json("launch", "--name", name, "--count", "2", "--ami", image, *words)
    yield Nodes(cloud, name)
    cloud.run("down", name)
