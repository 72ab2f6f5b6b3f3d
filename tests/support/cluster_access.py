"""Connect to clusters of the local cloud, and check what their security groups allow."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from local_cloud import LocalCloud
from local_network import CALLER

PORTS = (22, 8786, 8787, 8888)
LAUNCH_RULE = "SSH from where the cluster was launched"

COMPUTE_ON_HEAD = "from distributed import Client; print(Client().submit(sum, range(100)).result())"
COMPUTE_HERE = """
import sys
from dask_bake import connect
with connect(sys.argv[1]) as client:
    print(client.scheduler.address.split(":")[0], client.submit(sum, range(100)).result())
"""


def compute_here(cloud: LocalCloud, name: str) -> str:
    """Return the output of a Dask client of the cluster that runs on this machine."""
    return cloud.python("-c", COMPUTE_HERE, name)


def check_computes(cloud: LocalCloud, name: str, *, scheme: str = "dask-bake", workers: int = 1) -> None:
    """Fail unless the cluster computes, by SSH and by a client on this machine."""
    assert cloud.on_head(COMPUTE_ON_HEAD, name=name).split() == ["4950"]
    assert cloud.json("status", name)["workers"] == workers
    assert cloud.run("ssh", "--name", name, "1", "--", "cat", "/etc/dask-bake/worker.env")
    assert compute_here(cloud, name).split() == [scheme, "4950"]


@dataclass(frozen=True)
class CustomCloud(LocalCloud):
    """The same local cloud for a user with other environment variables."""

    variables: tuple[tuple[str, str], ...] = ()

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, **dict(self.variables)}


@contextmanager
def launched_and_checked(cloud: LocalCloud, image: str, name: str, *words: str) -> Iterator[dict]:
    """Launch a head and a worker, and take them down; fail if a group or a key is left."""
    with cloud.launched(name, "--count", "2", "--ami", image, *words) as launch:
        yield launch
    assert not [group for group in cloud.groups() if name in group]
    assert not [folder for folder in cloud.secrets() if f"-{name}-" in folder]


def allowed_sources(cloud: LocalCloud, name: str) -> list[tuple[str, str]]:
    """Return the sources that the head's group allows on port 22, each with its rule's description."""
    groups = cloud.ec2().describe_security_groups(
        Filters=[{"Name": "group-name", "Values": [f"dask-bake-{name}/ssh"]}]
    )
    rules = [rule for group in groups["SecurityGroups"] for rule in group["IpPermissions"]]
    blocks = [(each["CidrIp"], each.get("Description", "")) for rule in rules for each in rule["IpRanges"]]
    pairs = [
        (each["GroupId"], each.get("Description", "")) for rule in rules for each in rule["UserIdGroupPairs"]
    ]
    return sorted(blocks + pairs)


def no_port_answers(launch: dict) -> bool:
    """Return whether this machine reaches no port of any node directly."""
    return not CALLER.reached((node["private_address"], port) for node in launch["nodes"] for port in PORTS)
