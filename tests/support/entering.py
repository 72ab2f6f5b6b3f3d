"""Clusters that are entered: as whom, how, and who else is let in."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from local_cloud import LocalCloud
from local_network import CALLER

PORTS = (22, 8786, 8787, 8888)
OURS = "SSH from where the cluster was launched"

ON_HEAD = "from distributed import Client; print(Client().submit(sum, range(100)).result())"
FROM_HERE = """
import sys
from dask_bake.api import connect
with connect(sys.argv[1]) as client:
    print(client.scheduler.address.split(":")[0], client.submit(sum, range(100)).result())
"""


def from_here(cloud: LocalCloud, name: str) -> str:
    """What a program on this machine prints that is a client of the cluster."""
    return cloud.python("-c", FROM_HERE, name)


def computes(cloud: LocalCloud, name: str, *, scheme: str = "tcp", workers: int = 1) -> None:
    """The cluster is entered in every way that there is, and computes."""
    assert cloud.on_head(ON_HEAD, name=name).split() == ["4950"]
    assert cloud.json("status", name)["workers"] == workers
    assert cloud.run("ssh", "--name", name, "1", "--", "cat", "/etc/dask-bake/worker.env")
    assert from_here(cloud, name).split() == [scheme, "4950"]


@dataclass(frozen=True)
class Elsewhere(LocalCloud):
    """The same cloud, for a user with programs of their own."""

    more: tuple[tuple[str, str], ...] = ()

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, **dict(self.more)}


@contextmanager
def launched(cloud: LocalCloud, image: str, name: str, *words: str) -> Iterator[dict]:
    """A head and a worker, and nothing of them afterwards."""
    yield cloud.json("launch", "--name", name, "--count", "2", "--ami", image, *words)
    cloud.run("down", name)
    assert not [group for group in cloud.groups() if name in group]
    assert not [folder for folder in cloud.secrets() if folder.endswith(name)]


def opened(cloud: LocalCloud, name: str) -> list[tuple[str, str]]:
    """What the head's group lets in to port 22: addresses, or groups, and what each rule says of itself."""
    groups = cloud.ec2().describe_security_groups(
        Filters=[{"Name": "group-name", "Values": [f"dask-bake-{name}/ssh"]}]
    )
    rules = [rule for group in groups["SecurityGroups"] for rule in group["IpPermissions"]]
    blocks = [(each["CidrIp"], each.get("Description", "")) for rule in rules for each in rule["IpRanges"]]
    pairs = [
        (each["GroupId"], each.get("Description", "")) for rule in rules for each in rule["UserIdGroupPairs"]
    ]
    return sorted(blocks + pairs)


def nothing_answers(launch: dict) -> bool:
    """Whether this machine reaches no port of any node by itself."""
    return not CALLER.reached((node["private_address"], port) for node in launch["nodes"] for port in PORTS)
