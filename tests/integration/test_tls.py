"""A cluster that speaks TLS, and one switch besides: it has no notebook."""

import pytest

from local_nodes import launched

KEYS = (("0", "scheduler"), ("0", "client"), ("1", "worker"))


@pytest.fixture(scope="module")
def closed(cloud, image):
    """A head and a worker of two processes."""
    yield from launched(cloud, image, "closed", "--nprocs", "2", "--tls", "--no-notebook")


def test_with_tls_client_on_the_head_and_tasks_are_served(closed):
    """`Client()` needs no certificate named, nor does a task that is a client."""
    code = """
def within(number):
    with worker_client() as inner:
        return inner.submit(sum, range(number)).result()
print(json.dumps([client.scheduler.address, client.submit(within, 5).result()]))
"""
    assert closed.compute(code) == ["tls://127.0.0.1:8786", 10]


REFUSED = """
import sys
from distributed import Client, Security
address = sys.argv[1]
try:
    Client(address.replace("tls:", "tcp:"), security=Security(require_encryption=False), timeout=3)
except OSError:
    print("refused")
"""


def test_with_tls_nobody_is_served_without_a_certificate(closed):
    assert closed.run("0", "python", "-", "tls://127.0.0.1:8786", text=REFUSED) == "refused\n"


def test_with_tls_each_key_is_for_whom_it_serves(closed):
    folder = "/etc/dask-bake/tls"
    files = [
        closed.run(node, "sudo", "stat", "--format", "%n %U %a", f"{folder}/{name}.pem")
        for node, name in KEYS
    ]

    assert files == [
        f"{folder}/scheduler.pem dask 600\n",
        f"{folder}/client.pem admin 600\n",
        f"{folder}/worker.pem dask 600\n",
    ]
    assert closed.run("1", "sudo", "find", folder, "-name", "client.pem") == ""
    assert closed.fails("0", "cat", f"{folder}/scheduler.pem")


def test_without_notebook_jupyter_s_socket_stays_down_and_nothing_fails(closed):
    assert closed.states("0", "dask-scheduler", "dask-jupyter.socket") == ["active", "inactive"]
    assert closed.failed_units("0") == closed.failed_units("1") == ""
