"""A cluster with TLS, and without a notebook."""

import json
import subprocess
import sys
from base64 import b64decode

import pytest

from cluster_access import check_computes
from local_nodes import launched

KEYS = (("0", "scheduler"), ("0", "client"), ("1", "worker"))


@pytest.fixture(scope="module")
def closed(cloud, image):
    """A head and a worker of two processes."""
    yield from launched(cloud, image, "closed", "--nprocs", "2", "--tls", "--no-notebook")


def test_with_tls_the_head_s_client_and_tasks_connect(closed):
    """`Client()` needs no certificate options, nor does a task that is a client."""
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


def test_with_tls_connections_without_a_certificate_are_refused(closed):
    assert closed.run("0", "python", "-", "tls://127.0.0.1:8786", text=REFUSED) == "refused\n"


def test_with_tls_each_key_is_readable_only_by_its_service(closed):
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


FOREIGN = """
import sys
from pathlib import Path
from dask_bake.client import connect as api
from dask_bake.cloud_init.certificates import issue, create_authority
other = create_authority("closed")
client = issue(other, "client")
folder = Path(sys.argv[1])
(folder / "client.pem").write_text(client.cert_pem)
(folder / "client.key").write_text(client.key_pem)
files = api.tls_files
def foreign(cluster, cloud):
    return {} if sys.argv[2] == "none" else {**files(cluster, cloud),
        "tls_client_cert": str(folder / "client.pem"), "tls_client_key": str(folder / "client.key")}
api.tls_files = foreign
try:
    api.connect("closed").close()
except OSError:
    print("refused")
"""


def test_with_tls_this_machine_computes_only_with_its_stored_certificates(cloud, closed, tmp_path):
    assert cloud.json("status", "closed")["scheduler"].startswith("tls://")
    check_computes(cloud, "closed", scheme="dask-bake-tls", workers=2)
    for which in ("none", "foreign"):
        done = subprocess.run(
            [sys.executable, "-c", FOREIGN, str(tmp_path), which],
            env={**cloud.environment, "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "5s"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.stdout == "refused\n", (which, done.stderr)


FORWARD = """
import json, sys
import boto3
from dask_bake import connect

def read():
    import s3fs
    return s3fs.S3FileSystem().cat("closed-data/a").decode()

with connect(sys.argv[1], credentials="forward") as client:
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="closed-data")
    s3.put_object(Bucket="closed-data", Key="a", Body=b"mine")
    found = list(client.run(read).values())
    client.restart()
    found += client.run(read).values()
    print(json.dumps([found, client._forwarder.current.document]))
"""
SEARCH = """
umask 077
cat >/dev/shm/secrets
grep -rlFf /dev/shm/secrets -D skip /etc /var /run /tmp /home /root
cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n' | grep -cFf /dev/shm/secrets
journalctl --no-pager | grep -cFf /dev/shm/secrets
rm /dev/shm/secrets
"""


def test_forwarded_credentials_are_in_memory_only(cloud, closed):
    """All worker processes read a private bucket by them, also those that come later."""
    found, document = json.loads(cloud.python("-c", FORWARD, "closed"))
    secrets = f"{document['SecretAccessKey']}\n{document['Token']}\n"
    left = [closed.run(node, "sudo", "sh", "-c", SEARCH, text=secrets) for node in "01"]
    ec2 = cloud.ec2()
    described = [each for page in ec2.describe_instances()["Reservations"] for each in page["Instances"]]
    running = [each["InstanceId"] for each in described if each["State"]["Name"] == "running"]
    consoles = [ec2.get_console_output(InstanceId=each).get("Output", "") for each in running]
    attributes = [ec2.describe_instance_attribute(InstanceId=each, Attribute="userData") for each in running]
    user_data = [b64decode(each["UserData"]["Value"]).decode() for each in attributes]
    public = f"{described} {ec2.describe_tags()} {consoles} {user_data}"

    assert (found, left) == (["mine"] * 4, ["0\n0\n"] * 2)
    assert "dask-bake:cluster" in public
    assert [secret for secret in secrets.split() if secret in public] == []


def test_other_users_of_a_node_get_no_credentials(closed):
    """They can neither read the token nor ask in Dask's place."""
    files = ["/run/dask-bake/credentials-token", "/run/dask-bake/credentials.sock"]
    modes = closed.run("1", "stat", "--format", "%U %G %a", *files)
    asked = closed.run("1", "python", "-c", WITHOUT_TOKEN)

    assert modes == "admin dask 440\ndask dask 600\n"
    assert closed.fails("1", "sudo", "-u", "nobody", "cat", files[0])
    assert asked == "401\n"


WITHOUT_TOKEN = """
import urllib.error, urllib.request
try:
    urllib.request.urlopen("http://127.0.0.1:786/credentials")
except urllib.error.HTTPError as error:
    print(error.code)
"""
