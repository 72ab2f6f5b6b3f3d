"""Another number of nodes on machines that boot: nothing is lost, and what EC2 ends is replaced."""

import subprocess
import sys

import pytest

from dask_bake.local.credentials import read_credentials
from dask_bake.models.tags import Tag
from dask_bake.scaling.lock import lock_name
from local_cloud import SETTINGS, client
from local_nodes import launched
from polling import until

NAME = "grown"
BEGIN_MAP = """
def work(x):
    from distributed import get_worker
    get_worker().log_event("ran", x)
    time.sleep(0.2)
    return x * x

client.publish_dataset(work=client.map(work, range(300)))
print(len(client.list_datasets()))
"""
END_MAP = """
total = sum(client.gather(client.get_dataset("work")))
client.unpublish_dataset("work")
ran = [x for _, x in client.get_events("ran")]
print(json.dumps([total, len(ran), len(set(ran))]))
"""
CONNECTED = f"""
import sys
from dask_bake import connect
with connect("{NAME}"):
    print("open", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture(scope="module")
def grown(cloud, image):
    """A head and a worker node whose number is kept."""
    yield from launched(cloud, image, NAME, "--nprocs", "2", "--keep-size")


def up(ec2) -> list[str]:
    """Return the ids of the cluster's nodes that are up."""
    filters = [
        {"Name": f"tag:{Tag.CLUSTER}", "Values": [NAME]},
        {"Name": "instance-state-name", "Values": ["pending", "running"]},
    ]
    reservations = ec2.describe_instances(Filters=filters)["Reservations"]
    return sorted(each["InstanceId"] for one in reservations for each in one["Instances"])


def is_locked(ec2) -> bool:
    """Return whether somebody changes the cluster's size."""
    filters = [{"Name": "group-name", "Values": [lock_name(NAME)]}]
    return bool(ec2.describe_security_groups(Filters=filters)["SecurityGroups"])


def test_a_map_that_runs_while_nodes_come_and_go_loses_and_repeats_nothing(cloud, grown):
    assert grown.compute(BEGIN_MAP) == 1
    for count in ("3", "2"):
        document = cloud.json("scale", NAME, "--count", count)
        assert document["nodes_expected"] == int(count)
    assert grown.compute(END_MAP) == [sum(x * x for x in range(300)), 300, 300]


def test_a_node_that_ec2_ends_is_replaced_while_a_client_is_connected(cloud, grown):
    with subprocess.Popen(
        [sys.executable, "-c", CONNECTED],
        env=cloud.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as connected:
        assert connected.stdout is not None
        assert connected.stdout.readline() == "open\n"
        ec2, status = client(read_credentials(SETTINGS)), cloud.json("status", NAME)
        (worker,) = (node["id"] for node in status["nodes"] if node["role"] == "worker")
        ec2.terminate_instances(InstanceIds=[worker])
        until(
            lambda: worker not in (there := up(ec2)) and len(there) == 2 and not is_locked(ec2),
            timeout=180,
            describe=lambda: up(ec2),
        )
        connected.communicate("\n", timeout=120)

    assert connected.returncode == 0
    assert cloud.json("status", NAME)["workers"] == 2
