"""A cluster, entered in every way that there is."""

from local_cloud import LocalCloud

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
