"""Tasks that read a private bucket with the credentials of the nodes' role, which expire meanwhile."""

import base64
import json
import subprocess
import sys
import time
from pathlib import Path

import boto3
import pytest

from base_release import BASE, PYTHON
from dask_bake.local.admin_client import ask
from dask_bake.local.credentials import read_credentials
from local_cloud import SETTINGS
from polling import until
from root import run_as_root

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        BASE.python_minor != PYTHON, reason="client and cluster need the same Python minor version"
    ),
]

EXAMPLE = Path(__file__).parents[2] / "examples" / "private_bucket.py"
NAME = "private"
URL = "s3://private-rides/2026"
LIFETIME = 20
"""Seconds that credentials are valid; those of AWS are for hours."""
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}
CREDENTIALS = """
import json
from distributed import Client

def found():
    import botocore.session
    frozen = botocore.session.Session().get_credentials().get_frozen_credentials()
    return [frozen.access_key, frozen.secret_key, frozen.token]

print(json.dumps(list(Client().run(found).values())))
"""


def client(service):
    """Return a client of the local cloud as the account's root user."""
    own = read_credentials(SETTINGS)
    return boto3.client(
        service,
        "us-east-1",
        endpoint_url=SETTINGS.url,
        aws_access_key_id=own.access_key,
        aws_secret_access_key=own.secret_key,
    )


def set_lifetime(seconds):
    """Give all new credentials this lifetime; ``None`` for their own."""
    ask(
        "POST",
        "sessions",
        {"lifetime": seconds},
        settings=SETTINGS,
        credentials=read_credentials(SETTINGS),
    )


@pytest.fixture(scope="module")
def private(cloud, image):
    """A cluster whose nodes have a role that may read the bucket, and whose credentials expire soon."""
    cloud.bring_up()
    policy = cloud.run("iam-policy", "--with", "s3-read", "private-rides")
    iam = client("iam")
    iam.create_role(RoleName="rides", AssumeRolePolicyDocument=json.dumps(TRUST))
    iam.put_role_policy(RoleName="rides", PolicyName="read", PolicyDocument=policy)
    iam.create_instance_profile(InstanceProfileName="rides")
    iam.add_role_to_instance_profile(InstanceProfileName="rides", RoleName="rides")
    set_lifetime(LIFETIME)
    try:
        words = ("--count", "3", "--nprocs", "1", "--ami", image, "--iaminstance-name", "rides")
        with cloud.launched(NAME, *words) as launched:
            yield launched
    finally:
        set_lifetime(None)


def example(cloud, *words):
    """Run the example on this machine and return its JSON."""
    done = subprocess.run(
        [sys.executable, EXAMPLE, URL, "--json", "--name", NAME, "--cloud", "local", *words],
        env=cloud.environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def credentials(cloud):
    """Return the access key, secret key and token that tasks find, of each worker process."""
    return json.loads(cloud.on_head(CREDENTIALS, name=NAME).splitlines()[-1])


def test_all_nodes_read_the_bucket_across_two_expiries_also_one_that_joins_later(cloud, private):
    """The example writes the files with the caller's own credentials; the tasks have only the role's."""
    first = example(cloud, "--write")
    seen, begun = {key for key, _, _ in credentials(cloud)}, time.monotonic()

    def has_expired_twice():
        """Read once more, and return whether both nodes have had others since, for twice the lifetime."""
        assert example(cloud) == first
        seen.update(key for key, _, _ in credentials(cloud))
        return time.monotonic() >= begun + 2 * LIFETIME and len(seen) >= 3 * 2

    until(has_expired_twice, timeout=300 + 2 * LIFETIME)
    cloud.run("scale", NAME, "--count", "4", "--yes")
    later = example(cloud)

    assert (first["rows"], len(first["nodes"])) == (120_000, 2)
    assert (later["rows"], later["fares"], len(later["nodes"])) == (first["rows"], first["fares"], 3)


def test_what_the_role_may_not_do_is_one_clear_refusal(cloud, private):
    """Tasks cannot write, and the message names the refusal."""
    code = f"""
from distributed import Client

def write():
    import s3fs
    try:
        s3fs.S3FileSystem().pipe_file("{URL.removeprefix("s3://")}/new", b"new")
    except PermissionError as error:
        return str(error)

print(Client().submit(write).result())
"""
    assert "is not authorized to perform: s3:PutObject on resource" in cloud.on_head(code, name=NAME)


def test_the_secrets_are_found_nowhere(cloud, private):
    """In no user-data, tag, console, journal, argv, environment of others, or file of a node."""
    secrets = [secret for _, *secrets in credentials(cloud) for secret in secrets]
    words = "\n".join([*secrets, *(base64.b64encode(each.encode()).decode()[:-4] for each in secrets)])
    assert secrets
    ec2 = client("ec2")
    told = []
    for reservation in ec2.describe_instances()["Reservations"]:
        for instance in reservation["Instances"]:
            told.append(json.dumps(instance, default=str))
            if instance["State"]["Name"] == "running":
                told.append(ec2.get_console_output(InstanceId=instance["InstanceId"]).get("Output", ""))
                attribute = ec2.describe_instance_attribute(
                    InstanceId=instance["InstanceId"], Attribute="userData"
                )
                told.append(base64.b64decode(attribute["UserData"].get("Value", "")).decode("latin-1"))
    assert [secret for secret in secrets if secret in "\n".join(told)] == []

    # The pattern is read from stdin: it is in no argv either.
    search = (
        "cat >/dev/shm/patterns; cd /; "
        "(journalctl --no-pager -o cat | grep -cFf /dev/shm/patterns; "
        "cat /proc/[0-9]*/cmdline | grep -caFf /dev/shm/patterns; "
        "grep -rlaFsf /dev/shm/patterns /etc /var /run /tmp /home /root /opt/dask/etc | wc -l) 2>/dev/null;"
        " rm /dev/shm/patterns"
    )
    for node in ("0", "1", "2"):
        look = ("ssh", "--name", NAME, node, "--", "sudo", "sh", "-c", search)
        assert cloud.run(*look, text=words).split() == ["0", "0", "0"], node
        assert "0" not in cloud.run(*look, text="dask").split()  # what is there is found
    pattern = Path(cloud.home, "patterns")
    pattern.write_text(words)
    try:
        kept = run_as_root(
            "sh", "-c", 'grep -rlaFsf "$1" "$2" || true', "grep", str(pattern), str(cloud.home / "state")
        )
    finally:
        pattern.unlink()
    assert kept.split() == []
